// The gallery: one image, tap and perturbation, method beside method, with a slider over the input.
'use strict';
(() => {
  const { state, choose, make, number } = window.invbench;
  const data = window.invbench.gallery;
  const picker = document.getElementById('picker');
  const tiles = document.getElementById('tiles');
  const status = document.getElementById('status');
  if (!data.images.length) return;

  const source = (index) => `../images/${data.names[index]}.png`;
  const cell = (image, tap, kind) => (image * data.taps.length + tap) * data.kinds.length + kind;
  const score = (value) => (value === null || value === undefined ? '–' : number(value / 100, 2));

  const slider = (label, seen, recon) => {
    const [width, height] = data.size;
    const below = make('img', { src: source(recon), width, height, alt: `recon, ${label}`, loading: 'lazy' });
    const above = make('img', { src: source(seen), width, height, alt: `input, ${label}`, class: 'above', loading: 'lazy' });
    const frame = make('div', { class: 'wipe' }, below, above);
    const input = make('input', { type: 'range', min: 0, max: 100, value: 0, 'aria-label': `Show the input over the recon: ${label}` });
    const cut = () => frame.style.setProperty('--cut', `${input.value}%`);
    input.addEventListener('input', cut);
    cut();
    return [frame, input];
  };

  const apply = (found) => {
    const chosen = ['image', 'tap', 'kind', 'order'].map((name) => choose(picker.elements[name], found[name] || picker.elements[name].options[0].value));
    const [image, tap, kind] = [data.images.indexOf(chosen[0]), data.taps.indexOf(chosen[1]), data.kinds.indexOf(chosen[2])];
    const index = cell(image, tap, kind);
    const seen = data.seen[image * data.kinds.length + kind];
    const axis = data.axes.indexOf(chosen[3]);
    const shown = data.methods.filter((method) => method.files[index] >= 0);
    const value = (method) => (axis < 0 || !method.scores.length ? null : method.scores[axis][index]);
    if (axis >= 0) shown.sort((a, b) => (value(b) ?? -Infinity) - (value(a) ?? -Infinity));
    const words = `${data.images[image]}, ${data.words[kind]}`;
    const [width, height] = data.size;
    tiles.replaceChildren();
    if (seen >= 0) {
      tiles.append(make('li', {}, make('div', { class: 'wipe' },
        make('img', { src: source(seen), width, height, alt: `${words}: input` })),
      make('span', {}, make('strong', {}, 'input'), ' what the network was shown')));
    }
    for (const method of shown) {
      const label = `${words}, ${method.id} at ${data.taps[tap]}`;
      const scores = method.scores.length
        ? data.axes.map((name, a) => `${name} ${score(method.scores[a][index])}`).join(' · ') : 'no scores: the record is not ranked';
      tiles.append(make('li', {}, ...(seen >= 0 ? slider(label, seen, method.files[index])
        : [make('img', { src: source(method.files[index]), width, height, alt: `recon, ${label}` })]),
      make('span', {}, make('a', { href: `method-${method.id}.html` }, method.id), ` ${scores}`)));
    }
    const absent = data.methods.length - shown.length;
    status.textContent = `${shown.length} of ${data.methods.length} methods`
      + (absent ? '; the others are shown with the unperturbed median image alone.' : '.');
  };

  picker.addEventListener('change', (event) => state.set({ [event.target.name]: event.target.value }));
  picker.addEventListener('submit', (event) => event.preventDefault());
  document.getElementById('side').hidden = false;
  state.listen(apply);
})();
