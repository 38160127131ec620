// The mask as the server has it: slices as runs of equal labels, `[[label, how often], …]`.

export class Mask {
  constructor([width, height, depth]) {
    this.slicePixels = width * height;
    this.depth = depth;
    this.known = new Uint8Array(this.slicePixels * depth);
  }

  // Takes the server's slices, here and in the drawing that is shown.
  take(slices, drawing) {
    for (const { k, runs } of slices) {
      let at = k * this.slicePixels;
      for (const [label, n] of runs) {
        this.known.fill(label, at, at + n);
        at += n;
      }
      const slice = this.known.subarray(k * this.slicePixels, (k + 1) * this.slicePixels);
      drawing.set(slice, k * this.slicePixels);
    }
  }

  // Slices of the drawing that are other than the server's.
  changed(drawing) {
    const slices = [];
    for (let k = 0; k < this.depth; k++) {
      const from = k * this.slicePixels;
      const [mine, theirs] = [drawing, this.known].map((a) => a.subarray(from, from + this.slicePixels));
      if (mine.some((label, i) => label !== theirs[i])) slices.push({ k, runs: runsOf(mine) });
    }
    return slices;
  }
}

function runsOf(labels) {
  const runs = [];
  for (const label of labels) {
    const last = runs.at(-1);
    if (last?.[0] === label) last[1]++;
    else runs.push([label, 1]);
  }
  return runs;
}
