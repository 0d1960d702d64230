// Paired differences: the mean over images, and its interval over groups of images.
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

  // How often each group of images is drawn in each resample, resample after resample.
  const draws = (groups, resamples, seed) => {
    const random = generator(seed);
    const counts = new Uint16Array(groups * resamples);
    for (let r = 0; r < resamples; r += 1) {
      for (let i = 0; i < groups; i += 1) counts[r * groups + Math.floor(random() * groups)] += 1;
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

  // Two times scores of images and their mean; the interval is widened about the difference of the means.
  const difference = (first, second, { members, widening, resamples }, counts) => {
    const groups = widening.length - 1;
    const sums = new Float64Array(groups);
    const sizes = new Float64Array(groups);
    for (let i = 0; i < members.length; i += 1) {
      const value = first.values[i] - second.values[i];
      if (!Number.isNaN(value)) {
        sums[members[i]] += value;
        sizes[members[i]] += 1;
      }
    }
    const held = [...sizes.keys()].filter((g) => sizes[g] > 0);
    if (!held.length) return null;
    const mean = first.mean - second.mean;
    const factor = widening[held.length];
    if (factor === null) return { mean, low: null, high: null };
    const means = [];
    for (let r = 0; r < resamples; r += 1) {
      let sum = 0;
      let count = 0;
      for (const g of held) {
        const times = counts[r * groups + g];
        sum += times * sums[g];
        count += times * sizes[g];
      }
      if (count) means.push(sum / count);
    }
    means.sort((a, b) => a - b);
    const end = (share) => mean + factor * (percentile(means, share) - mean);
    return { mean, low: end(0.025), high: end(0.975) };
  };

  window.invbench.paired = { draws, difference };
})();
