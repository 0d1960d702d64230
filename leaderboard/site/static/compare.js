// Compare two to four submissions on the same images: by axis, tap and perturbation, and where they differ most.
'use strict';
(() => {
  const { state, choose, make, load, number, paired } = window.invbench;
  const data = window.invbench.compare;
  const picker = document.getElementById('picker');
  const status = document.getElementById('status');
  const result = document.getElementById('result');
  const NAMES = ['m0', 'm1', 'm2', 'm3'];
  const PICTURES = 3;
  if (data.names.length < 2) return;

  const unpack = (name, target) => {
    const pack = window.invbench.packs[`${name}/${target}`];
    const text = atob(pack.scores);
    const view = new DataView(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer);
    const values = new Float64Array(view.byteLength / 2);
    for (let i = 0; i < values.length; i += 1) {
      const raw = view.getInt16(2 * i, true);
      values[i] = raw === data.absent ? NaN : raw * data.scale;
    }
    const taps = data.targets[target].length;
    const images = values.length / (data.columns.length * taps);
    const at = (column, tap) => {
      const start = column * taps + tap;
      return { values: values.subarray(start * images, (start + 1) * images), mean: pack.means[start] ?? NaN };
    };
    // The mean over taps: whether an image is scored depends on the original alone, so it is at every tap or at none.
    const over = (column) => {
      const all = Array.from({ length: taps }, (_, tap) => at(column, tap));
      const mean = (read) => all.reduce((sum, one) => sum + read(one), 0) / taps;
      return { values: Float64Array.from({ length: images }, (_, i) => mean((one) => one.values[i])), mean: mean((one) => one.mean) };
    };
    return { name, images, at, over };
  };

  const signed = (value, digits = 3) => (Number(value.toFixed(digits)) === 0 ? '' : value > 0 ? '+' : '−') + Math.abs(value).toFixed(digits);
  // As many more digits as it takes to tell on which side of 0 a number lies.
  const sided = (value) => signed(value, [3, 4, 5, 6].find((digits) => Number(value.toFixed(digits)) !== 0) || 3);
  const cell = (found) => {
    if (!found) return make('td', {}, make('span', { class: 'missing', title: 'no image is scored for both' }, '–', make('span', { class: 'unseen' }, ' no image is scored for both')));
    const open = found.low === null || (found.low <= 0 && found.high >= 0);
    return make('td', { class: open ? 'open' : found.mean > 0 ? 'ahead' : 'behind' }, open ? signed(found.mean) : sided(found.mean),
      make('span', { class: 'range' }, found.low === null ? 'no interval' : `${sided(found.low)} to ${sided(found.high)}`));
  };

  const grid = (caption, first, columns, lines) => make('div', { class: 'scroll', role: 'region', 'aria-label': caption, tabindex: '0' },
    make('table', { class: 'numbers differences' }, make('caption', {}, make('span', {}, caption)),
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, first), ...columns.map((name) => make('th', { scope: 'col' }, name)))),
      make('tbody', {}, ...lines.map(([name, cells]) => make('tr', {}, make('th', { scope: 'row' }, name), ...cells)))));

  const picturesOf = (gallery, base, others, kind) => {
    const found = [];
    const own = (id) => gallery.methods.find((method) => method.id === id);
    const a = own(base);
    if (!a || !a.scores.length) return [];
    const kinds = gallery.kinds.length;
    const taps = gallery.taps.length;
    for (const other of others.map(own)) {
      if (!other || !other.scores.length) continue;
      gallery.axes.forEach((axis, x) => {
        for (let i = 0; i < a.files.length; i += 1) {
          if (kind && gallery.kinds[i % kinds] !== kind) continue;
          const [p, q] = [a.scores[x][i], other.scores[x][i]];
          if (p === null || q === null || a.files[i] < 0 || other.files[i] < 0) continue;
          found.push({ axis, i, a, b: other, p: p / 100, q: q / 100, size: Math.abs(p - q) });
        }
      });
    }
    // One place per image, the largest differences first.
    found.sort((x, y) => y.size - x.size || x.i - y.i);
    const taken = new Set();
    return found.filter(({ axis, b, i }) => {
      const key = `${axis}/${b.id}/${Math.floor(i / (kinds * taps))}`;
      return !taken.has(key) && taken.add(key);
    }).slice(0, PICTURES * gallery.axes.length).map((item) => {
      const kindIndex = item.i % kinds;
      const tap = Math.floor(item.i / kinds) % taps;
      const image = Math.floor(item.i / (kinds * taps));
      return { ...item, words: `${gallery.images[image]}, ${gallery.words[kindIndex]}, ${gallery.taps[tap]}`, seen: gallery.seen[image * kinds + kindIndex] };
    });
  };

  const showPictures = (gallery, base, others, kind) => {
    const [width, height] = gallery.size;
    const picture = (index, alt, label) => make('figure', {}, make('img', { src: `../images/${gallery.names[index]}.png`, width, height, alt, loading: 'lazy' }), make('figcaption', {}, label));
    const items = picturesOf(gallery, base, others, kind);
    if (!items.length) return [];
    return [make('h3', {}, 'Where they differ most'),
      make('p', { class: 'note' }, `Among the pictures of the gallery${kind && ` under ${kind}`}, the largest differences of single scores; one place per axis and image.`),
      make('ul', { class: 'trios' }, ...items.map((item) => make('li', {},
        make('p', {}, make('strong', {}, item.axis.toUpperCase()), ` ${item.words}: ${signed(item.p - item.q, 2)}`),
        make('div', { class: 'trio' },
          item.seen >= 0 ? picture(item.seen, `${item.words}: input`, 'input') : null,
          picture(item.a.files[item.i], `${item.words}: recon of ${item.a.id}`, `${item.a.id} ${number(item.p, 2)}`),
          picture(item.b.files[item.i], `${item.words}: recon of ${item.b.id}`, `${item.b.id} ${number(item.q, 2)}`)))))];
  };

  // The files of galleries all set the same name, so that each is kept as it comes.
  const galleries = {};
  const loadGallery = async (target) => {
    if (galleries[target]) return;
    await load(`data/gallery-${target}.js`);
    galleries[target] = window.invbench.gallery;
  };

  let turn = 0;
  const apply = async (found) => {
    turn += 1;
    const mine = turn;
    const target = choose(picker.elements.target, found.target || Object.keys(data.targets)[0]);
    const kind = choose(picker.elements.kind, found.kind || '');
    const wanted = NAMES.map((name, index) => choose(picker.elements[name],
      found[name] || (NAMES.every((other) => found[other] === undefined) && index < 2 ? data.names[index] : '')));
    const chosen = [...new Set(wanted.filter(Boolean))];
    result.replaceChildren();
    if (chosen.length < 2) {
      status.textContent = 'Choose two to four different submissions.';
      return;
    }
    status.textContent = 'Reading the scores …';
    const files = chosen.filter((name) => !window.invbench.packs[`${name}/${target}`]).map((name) => `data/images-${name}-${target}.js`);
    try {
      await Promise.all([...files.map(load), loadGallery(target)]);
    } catch (error) {
      status.textContent = `These cannot be compared here: ${error.message}.`;
      return;
    }
    if (mine !== turn) return;

    const packs = chosen.map((name) => unpack(name, target));
    const [base, ...others] = packs;
    if (others.some((pack) => pack.images !== base.images)) {
      status.textContent = 'These were not evaluated on the same images.';
      return;
    }
    const counts = paired.draws(data.widening.length - 1, data.resamples, data.seed);
    const against = (read) => others.map((other) => paired.difference(read(base), read(other), data, counts));
    const heads = others.map((other) => `${base.name} − ${other.name}`);
    const whole = data.columns.map(([axis, kind], column) => ({ axis, kind, column }));
    const columns = whole.filter((one) => one.kind === (kind || 'axes'));
    const where = `${target}${kind && ` under ${kind}`}`;
    const verdicts = columns.map(({ axis, column }) => [axis.toUpperCase(), against((pack) => pack.over(column))]);
    result.append(grid(`${base.name} minus ${others.length > 1 ? 'each of the others' : others[0].name} on ${where}, by axis: the mean over taps`, 'Axis', heads,
      verdicts.map(([name, items]) => [name, items.map(cell)])));
    result.append(make('p', {}, ...others.map((other, index) => {
      const ahead = verdicts.filter(([, items]) => items[index] && items[index].low !== null && items[index].low > 0).map(([name]) => name);
      const behind = verdicts.filter(([, items]) => items[index] && items[index].low !== null && items[index].high < 0).map(([name]) => name);
      const open = verdicts.filter(([name]) => !ahead.includes(name) && !behind.includes(name)).map(([name]) => name);
      return `Against ${other.name}, ${base.name} is ahead on ${ahead.join(', ') || 'no axis'}, behind on ${behind.join(', ') || 'none'}`
        + (open.length ? `; undecided on ${open.join(', ')}, where the interval contains 0. ` : '. ');
    })));
    result.append(make('h3', {}, 'By tap'), make('div', { class: 'beside' }, ...columns.map(({ axis, column }) =>
      grid(`${axis.toUpperCase()} on ${where} at every tap`, 'Tap', heads,
        data.targets[target].map((tap, index) => [tap, against((pack) => pack.at(column, index)).map(cell)])))));
    const alone = whole.filter((one) => one.kind !== 'axes' || whole.filter((other) => other.axis === one.axis).length > 1);
    result.append(make('details', {}, make('summary', {}, 'By perturbation'),
      grid(`On ${target} under each perturbation: the mean over taps`, 'Axis and perturbation', heads,
        alone.map(({ axis, kind: its, column }) => [`${axis.toUpperCase()}, ${its === 'axes' ? 'standard' : its}`, against((pack) => pack.over(column)).map(cell)]))));
    result.append(...showPictures(galleries[target], base.name, others.map((other) => other.name), kind));
    status.textContent = `${base.name} against ${others.map((other) => other.name).join(', ')} on ${base.images} images in ${data.widening.length - 1} groups of ${where}.`;
  };

  picker.addEventListener('change', () => {
    const changes = { target: picker.elements.target.value, kind: picker.elements.kind.value };
    for (const name of NAMES) changes[name] = picker.elements[name].value;
    changes.m0 ||= '-'; // none at all is a choice too; without any in the address, the first two are shown
    state.set(changes);
  });
  picker.addEventListener('submit', (event) => event.preventDefault());
  document.getElementById('chosen').hidden = false;
  state.listen(apply);
})();
