// The ranked table: sorting, filtering, views of a stage, tap or perturbation, and weights of the reader's own.
'use strict';
(() => {
  const { state, choose, make, number } = window.invbench;
  const views = window.invbench.views;
  const table = document.getElementById('ranking');
  const controls = document.getElementById('controls');
  const weights = document.getElementById('weights');
  const status = document.getElementById('status');
  const stability = document.getElementById('stability');
  const ASCENDING = new Set(['place', 'name', 'parameters', 'training', 'ms']);
  const STEP = 0.05; // how far weights are moved to try the order

  const rows = [...table.querySelectorAll('tr[data-id]')].map((element, index) => ({
    element, index, id: element.dataset.id, body: element.parentElement, scores: {},
    bound: ['floor', 'ceiling'].includes(element.dataset.trust), // reference points stay, whatever is filtered
    kept: Object.fromEntries([...element.querySelectorAll('td.axis')].map((cell) => [cell.dataset.axis, cell.innerHTML])),
  }));
  const format = (value) => number(value, 3);
  const BEYOND = 6; // percent of an axis that a score may lie beyond its ends

  // --- what stands beside a score, as Python words it ---
  const rowsOf = (yardstick, score) => {
    let reached = -1;
    let before = null;
    for (const [rows, own] of yardstick) {
      const top = Math.max(reached, own);
      if (score <= top) {
        if (before === null) return score === top ? rows : 0;
        const share = (score - reached) / (top - reached);
        return 2 ** (Math.log2(before) + share * (Math.log2(rows) - Math.log2(before)));
      }
      reached = top;
      before = rows;
    }
    return Infinity;
  };
  const remarks = (axis, score, kind) => {
    const lines = score.low !== null && score.low <= 0 ? [views.nothing] : [];
    const yardstick = views.yardsticks[axis];
    if (!yardstick || kind !== 'axes' || (axis === 'color' && score.value > views.flat)) return lines;
    const [least, most] = [yardstick[0][0], yardstick[yardstick.length - 1][0]];
    const words = (value) => {
      const rows = rowsOf(yardstick, value);
      if (rows === 0) return `< ${least}`;
      return rows === Infinity ? `> ${most}` : `${Number(rows.toPrecision(2))}`;
    };
    const value = words(score.value);
    const phrase = { '<': 'worse than', '>': 'better than' }[value[0]] || 'as good as';
    const rows = value.replace(/^[<>] /, '');
    const [low, high] = score.low === null ? [value, value] : [words(score.low), words(score.high)];
    const span = low === value && high === value ? '' : ` [${low}, ${high}]`;
    return [...lines, `${phrase} a ${rows}×${rows} thumbnail${span}`];
  };

  // --- scores of the chosen view ---
  const scoresOf = (row, scope, kind) => {
    const packed = views.rows[row.id];
    const s = views.scopes.indexOf(scope);
    const k = views.kinds.indexOf(kind);
    const scores = Object.fromEntries(views.axes.map((axis, a) => {
      const start = ((s * views.kinds.length + k) * views.axes.length + a) * 3;
      const found = packed ? packed.slice(start, start + 3).map((v) => (v === null ? null : v / 1000)) : [null, null, null];
      return [axis, { value: found[0], low: found[1], high: found[2] }];
    }));
    const values = views.axes.map((axis) => scores[axis].value);
    const mean = values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
    return { ...scores, score: { value: mean, low: null, high: null } };
  };

  const showAxis = (cell, score, reason, lines) => {
    cell.replaceChildren();
    if (score.value === null) {
      cell.append(make('span', { class: 'missing' }, '–'), make('span', { class: 'why' }, reason));
      return;
    }
    const range = score.low === null ? '' : `${format(score.low)} to ${format(score.high)}`;
    cell.append(make('div', { class: 'score' },
      make('span', { class: 'value' }, format(score.value)),
      range ? make('span', { class: 'range' }, make('span', { class: 'unseen' }, '95 % interval '), range) : null));
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const set = (element, attributes) => Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    set(svg, { class: 'interval', width: '100%', height: '10', 'aria-hidden': 'true', focusable: 'false' });
    const line = (name, x1, x2, y1, y2) => {
      const element = document.createElementNS('http://www.w3.org/2000/svg', 'line');
      const along = (share) => `${Math.min(100 + BEYOND, Math.max(-BEYOND, 100 * share))}%`;
      set(element, { class: name, x1: along(x1), x2: along(x2), y1, y2 });
      svg.append(element);
    };
    line('rail', 0, 1, 5, 5);
    if (score.low !== null) {
      line('span', score.low, score.high, 5, 5);
      // An arrow where the interval goes on beyond what is drawn.
      for (const end of [score.low, score.high].map((share) => 100 * share).filter((at) => at < -BEYOND || at > 100 + BEYOND)) {
        const [inner, path] = ['svg', 'path'].map((tag) => document.createElementNS('http://www.w3.org/2000/svg', tag));
        set(inner, { class: 'beyond', 'aria-hidden': 'true', x: `${end < 0 ? -BEYOND : 100 + BEYOND}%` });
        set(path, { d: end < 0 ? 'M0 1L-6 5L0 9Z' : 'M0 1L6 5L0 9Z' });
        inner.append(path);
        svg.append(inner);
      }
    }
    line('dot', score.value, score.value, 0, 10);
    cell.append(svg, ...lines.map((words) => make('span', { class: 'like' }, words)));
  };

  const show = (scope, kind) => {
    const whole = scope === '*' && kind === 'axes';
    for (const row of rows) {
      row.scores = scoresOf(row, scope, kind);
      for (const cell of row.element.querySelectorAll('td.axis')) {
        const axis = cell.dataset.axis;
        if (whole) {
          cell.innerHTML = row.kept[axis];
          const text = cell.querySelector('.value');
          row.scores[axis].value = text ? Number(text.textContent.replace('−', '-')) : null;
          continue;
        }
        const reason = !views.rows[row.id] ? 'not evaluated here'
          : views.measured.includes(row.id) ? 'not computed under this perturbation, or nothing scored'
            : 'not ranked on all targets: only whole targets and single taps are shown';
        showAxis(cell, row.scores[axis], reason, axis === 'score' ? [] : remarks(axis, row.scores[axis], kind));
      }
    }
  };

  // --- weights ---
  const sliders = [...weights.querySelectorAll('input[type=range]')];
  const normalized = (raw) => {
    const total = raw.reduce((sum, value) => sum + value, 0);
    return total > 0 ? raw.map((value) => value / total) : null;
  };
  const weighted = (row, share) => {
    let sum = 0;
    for (const [index, axis] of views.axes.entries()) {
      if (share[index] === 0) continue;
      const { value } = row.scores[axis];
      if (value === null) return null;
      sum += share[index] * value;
    }
    return sum;
  };
  const slack = (row, share) => views.axes.reduce((sum, axis, index) => {
    const { low, high } = row.scores[axis];
    return sum + (low === null || high === null ? 0 : share[index] * (high - low) / 2);
  }, 0);

  // Every axis in turn gets STEP more or less of the whole weight, taken from or given to the others in proportion.
  const nearby = (share) => share.flatMap((value, axis) => [STEP, -STEP].map((step) => {
    const moved = Math.min(1, Math.max(0, value + step));
    const rest = 1 - value;
    return share.map((other, index) => {
      if (index === axis) return moved;
      return rest > 0 ? other * (1 - moved) / rest : (1 - moved) / (share.length - 1);
    });
  }));

  const judge = (shown, share) => {
    const moved = nearby(share);
    const found = shown.map((row) => ({ row, value: weighted(row, share), values: moved.map((other) => weighted(row, other)) }))
      .filter(({ value }) => value !== null);
    found.sort((a, b) => b.value - a.value);
    const swapped = [];
    const close = [];
    for (let i = 0; i + 1 < found.length; i += 1) {
      for (let j = i + 1; j < found.length; j += 1) {
        const [a, b] = [found[i], found[j]];
        // Where a moved weight falls on an axis that one of them lacks, nothing can be said.
        if (a.values.some((value, k) => value !== null && b.values[k] !== null && value < b.values[k])) swapped.push([a, b]);
        else if (j === i + 1 && a.value - b.value < slack(a.row, share) + slack(b.row, share)) close.push([a, b]);
      }
    }
    const words = (pairs) => pairs.slice(0, 3).map(([a, b]) => `${a.row.id} and ${b.row.id}`).join(', ')
      + (pairs.length > 3 ? ` and ${pairs.length - 3} more pairs` : '');
    const said = [];
    if (!found.length) said.push('No ranked submission shown here has scores on every weighted axis.');
    if (swapped.length) said.push(`Not stable: ${words(swapped)} change places when a weight moves by ${100 * STEP} points of 100.`);
    if (close.length) said.push(`Within the intervals: ${words(close)}.`);
    if (!said.length && found.length > 1) said.push(`Stable: the order stays when any weight moves by ${100 * STEP} points of 100.`);
    stability.textContent = said.join(' ');
    stability.classList.toggle('warning', !found.length || swapped.length + close.length > 0);
    return new Map(found.map(({ row, value }) => [row, value]));
  };

  // --- sorting ---
  const heads = [...table.querySelectorAll('th[data-sort]')].map((head) => {
    const button = make('button', { type: 'button' }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const key = head.dataset.sort;
      const now = state.get();
      const first = ASCENDING.has(key) ? 'ascending' : 'descending';
      const other = first === 'ascending' ? 'descending' : 'ascending';
      const current = now.sort === key || (!now.sort && !now.w && key === 'place');
      const direction = current && (now.dir || first) === first ? other : first;
      const usual = key === 'place' && direction === 'ascending' && !now.w;
      state.set({ sort: usual ? '' : key, dir: direction === first ? '' : direction });
    });
    return head;
  });
  const keyOf = (row, key) => {
    if (key === 'place') return row.element.dataset.place === '' ? null : Number(row.element.dataset.place);
    if (key === 'name') return row.id;
    if (key === 'score' || views.axes.includes(key)) return row.scores[key].value;
    const { value } = row.element.querySelector(`[data-cost="${key}"]`).dataset;
    return value === '' ? null : Number(value);
  };
  const order = (value) => (key, direction) => (a, b) => {
    const [x, y] = [value(a, key), value(b, key)];
    if (x === null || y === null) return (x === null) - (y === null) || a.index - b.index;
    const compared = typeof x === 'string' ? x.localeCompare(y, 'en') : x - y;
    return (direction === 'descending' ? -compared : compared) || a.index - b.index;
  };

  // --- everything follows from the address ---
  const apply = (found) => {
    let scope = '*';
    const stage = controls.elements.stage;
    const tap = controls.elements.tap;
    if (stage) {
      const chosen = choose(stage, found.stage || '');
      for (const option of tap.options) option.hidden = Boolean(chosen && option.dataset.stage && option.dataset.stage !== chosen);
      const one = choose(tap, found.tap || '');
      const taps = Object.keys(views.stages).filter((name) => views.stages[name] === chosen);
      if (one) scope = one;
      else if (chosen) scope = views.scopes.includes(`stage:${chosen}`) ? `stage:${chosen}` : taps[0];
    }
    const kind = choose(controls.elements.kind, found.kind || '') || 'axes';
    const family = choose(controls.elements.family, found.family || '');
    const trust = choose(controls.elements.trust, found.trust || '');
    show(scope, kind);

    const shown = [];
    for (const row of rows) {
      if (row.bound) continue;
      const { dataset } = row.element;
      row.element.hidden = Boolean((family && dataset.family !== family) || (trust && dataset.trust !== trust));
      if (!row.element.hidden) shown.push(row);
    }

    const raw = (found.w || '').split(',').map(Number);
    const given = Boolean(found.w) && raw.length === sliders.length && raw.every((v) => v >= 0 && v <= 100);
    const share = given ? normalized(raw) : null;
    sliders.forEach((slider, index) => {
      slider.value = given ? raw[index] : 50;
      slider.nextElementSibling.value = slider.value;
    });
    if (given) weights.open = true;
    stability.textContent = given && !share ? 'Give at least one axis a weight.' : '';
    stability.classList.toggle('warning', given && !share);
    // What may not be ranked has no place by other weights either.
    const mine = share ? judge(shown.filter((row) => row.element.dataset.place), share) : null;

    const key = heads.some((head) => head.dataset.sort === found.sort) ? found.sort : 'place';
    const first = ASCENDING.has(key) ? 'ascending' : 'descending';
    const direction = ['ascending', 'descending'].includes(found.dir) ? found.dir : first;
    const own = mine && mine.size && !found.sort; // whoever sorts by a column sees that order
    const compare = own ? order((row) => mine.get(row) ?? null)('', 'descending') : order(keyOf)(key, direction);
    for (const head of heads) {
      const active = !own && head.dataset.sort === key;
      if (active) head.setAttribute('aria-sort', direction);
      else head.removeAttribute('aria-sort');
    }
    for (const body of table.tBodies) {
      const here = rows.filter((row) => row.body === body);
      body.append(...here.sort(compare).map((row) => row.element));
      const group = body.querySelector('tr.group');
      if (group) group.hidden = here.every((row) => row.element.hidden);
    }
    const ahead = (value) => [...mine.values()].filter((other) => Number(other.toFixed(3)) > Number(value.toFixed(3))).length;
    for (const row of rows) {
      const cell = row.element.querySelector('.place');
      cell.querySelectorAll('.mine').forEach((element) => element.remove());
      if (mine && mine.has(row)) {
        cell.append(make('span', { class: 'mine' }, make('span', { class: 'unseen' }, 'by your weights '),
          `${ahead(mine.get(row)) + 1}. (${format(mine.get(row))})`));
      }
    }

    const total = rows.filter((row) => !row.bound).length;
    const part = [scope === '*' ? '' : scope.startsWith('stage:') ? `stage ${scope.slice(6)}` : `tap ${scope}`, kind === 'axes' ? '' : kind];
    const where = part.filter(Boolean).join(', ');
    status.textContent = `${shown.length} of ${total} submissions`
      + (where ? `; scores of ${where} alone, without places: those hold for whole targets.` : '.')
      + (own ? ' Ordered by your weights.' : '');
  };

  controls.addEventListener('change', (event) => {
    const changes = { [event.target.name]: event.target.value };
    if (event.target.name === 'stage') changes.tap = '';
    state.set(changes);
  });
  controls.addEventListener('reset', (event) => {
    event.preventDefault();
    state.set({ stage: '', tap: '', kind: '', family: '', trust: '', sort: '', dir: '' });
  });
  controls.addEventListener('submit', (event) => event.preventDefault());
  weights.addEventListener('input', () => state.set({ w: sliders.map((slider) => slider.value).join(','), sort: '', dir: '' }));
  weights.addEventListener('reset', (event) => {
    event.preventDefault();
    state.set({ w: '' });
  });
  controls.hidden = false;
  weights.hidden = false;
  state.listen(apply);
})();
