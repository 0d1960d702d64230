"""The pages of the site, one module a kind of page: from a board to what its template shows."""
