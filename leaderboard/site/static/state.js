// The state of a page lives in its address, behind the #: name=value pairs, so that any view can be linked to.
'use strict';
window.invbench = window.invbench || {};
(() => {
  // A link within the page (#main) replaces what stands behind the #, and must not lose the state.
  let current = {};
  const parse = () => {
    const text = location.hash.slice(1);
    if (text === '' || text.includes('=')) current = Object.fromEntries(new URLSearchParams(text));
    return current;
  };
  const listeners = [];
  const state = {
    get: parse,
    set(changes) {
      const found = { ...parse() };
      for (const [name, value] of Object.entries(changes)) {
        if (value === '' || value === null || value === undefined) delete found[name];
        else found[name] = value;
      }
      current = found;
      const text = new URLSearchParams(found).toString();
      if (text !== location.hash.slice(1)) {
        history.replaceState(null, '', text ? `#${text}` : location.pathname + location.search);
      }
      listeners.forEach((listener) => listener(found));
    },
    listen(listener) {
      listeners.push(listener);
      window.addEventListener('hashchange', () => {
        if (location.hash === '' || location.hash.includes('=')) listener(parse());
      });
      listener(parse());
    },
  };
  window.invbench.state = state;

  // The skip link would put its own target behind the #.
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  });

  // Links to other targets keep the state, but for what is a target's own.
  state.listen((found) => {
    for (const link of document.querySelectorAll('nav[data-own] a')) {
      const own = link.closest('nav').dataset.own.split(' ');
      const kept = new URLSearchParams(Object.entries(found).filter(([name]) => !own.includes(name))).toString();
      link.href = link.getAttribute('href').split('#')[0] + (kept ? `#${kept}` : '');
    }
  });

  // A control that cannot take a value from the address keeps its first one.
  window.invbench.choose = (select, value) => {
    const known = [...select.options].some((option) => option.value === value && !option.hidden);
    select.value = known ? value : select.options[0].value;
    return select.value;
  };

  // With the minus sign of the tables that come ready made.
  window.invbench.number = (value, digits) => {
    const text = Math.abs(value).toFixed(digits);
    return value < 0 && Number(text) > 0 ? `−${text}` : text;
  };

  window.invbench.make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  };

  window.invbench.load = (file) => new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.src = file;
    element.addEventListener('load', () => resolve());
    element.addEventListener('error', () => reject(new Error(`${file} cannot be read`)));
    document.head.append(element);
  });
})();
