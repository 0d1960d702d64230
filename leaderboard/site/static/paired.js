// Paired differences: the mean over images that both have, and its bootstrap interval.
'use strict';
window.invbench = window.invbench || {};
(() => {
  // mulberry32: a small generator with a seed, so that the same page shows the same intervals everywhere.
  const generator = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  // How often each image is drawn in each resample, resample after resample.
  const draws = (images, resamples, seed) => {
    const random = generator(seed);
    const counts = new Uint8Array(images * resamples);
    for (let r = 0; r < resamples; r += 1) {
      for (let i = 0; i < images; i += 1) counts[r * images + Math.floor(random() * images)] += 1;
    }
    return counts;
  };

  // As numpy's percentile: linear between the two neighbors.
  const percentile = (sorted, share) => {
    const position = share * (sorted.length - 1);
    const low = Math.floor(position);
    const high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (position - low) * (sorted[high] - sorted[low]);
  };

  const difference = (first, second, counts, resamples) => {
    const images = first.length;
    const values = Float64Array.from(first, (value, i) => value - second[i]);
    const there = [...values.keys()].filter((i) => !Number.isNaN(values[i]));
    if (!there.length) return null;
    const mean = there.reduce((sum, i) => sum + values[i], 0) / there.length;
    const means = [];
    for (let r = 0; r < resamples; r += 1) {
      let sum = 0;
      let count = 0;
      for (const i of there) {
        const times = counts[r * images + i];
        sum += times * values[i];
        count += times;
      }
      if (count) means.push(sum / count);
    }
    means.sort((a, b) => a - b);
    return { mean, low: percentile(means, 0.025), high: percentile(means, 0.975), images: there.length };
  };

  window.invbench.paired = { draws, difference };
})();
