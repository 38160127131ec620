// Boxes and points over the viewer: what the pointer does while one of these tools is held.

const TOOLS = ["box", "inside", "outside"];
// A shorter drag is a click, CSS px.
const CLICK = 4;

export class Marks {
  constructor(viewer, overlay) {
    this.viewer = viewer;
    this.overlay = overlay;
    this.tool = "look";
    this.clear();
    this.onMarked = () => {};
    this.onWrong = () => {};
    const stage = viewer.canvas.parentElement;
    // Before NiiVue sees anything.
    for (const kind of ["mousedown", "mousemove", "mouseup", "touchstart", "touchmove", "touchend"]) {
      stage.addEventListener(kind, (event) => this.holds && event.target === viewer.canvas && event.stopPropagation(), true);
    }
    stage.addEventListener("pointerdown", (event) => this.down(event), true);
    stage.addEventListener("pointermove", (event) => this.move(event), true);
    stage.addEventListener("pointerup", (event) => this.up(event), true);
    stage.addEventListener("pointercancel", () => this.drop(), true);
  }

  get holds() {
    return TOOLS.includes(this.tool);
  }

  // What is marked of one object on slice `k`.
  get asked() {
    const { k, box, points, object } = this;
    return { k, box, points, object };
  }

  get isEmpty() {
    return !this.box && this.points.length === 0;
  }

  clear() {
    Object.assign(this, { k: undefined, box: undefined, points: [], start: undefined });
    this.object = crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.draw();
  }

  down(event) {
    if (!this.holds || event.target !== this.viewer.canvas || event.button > 0) return;
    const at = this.viewer.voxelAt(event);
    if (!at) return;
    event.preventDefault();
    this.start = { ...at, x: event.clientX, y: event.clientY };
    this.viewer.canvas.setPointerCapture?.(event.pointerId);
  }

  move(event) {
    if (!this.start || this.tool !== "box") return;
    this.rubber(this.start, event);
  }

  up(event) {
    const { start } = this;
    this.drop();
    if (!start) return;
    const end = this.viewer.voxelAt(event);
    const dragged = Math.hypot(event.clientX - start.x, event.clientY - start.y) > CLICK;
    if (this.tool !== "box") return this.point(start.vox);
    if (start.plane !== 0 || (end && end.plane !== 0)) return this.onWrong("draw boxes on the axial plane; points may be set in any");
    if (!dragged) return this.onWrong("drag a box around the lesion, or take the point tool (I)");
    if (!end) return this.onWrong("end the box on the same plane");
    const [i0, j0, k] = start.vox;
    this.begin(k);
    this.box = [i0, j0, end.vox[0], end.vox[1]];
    this.tell();
  }

  point([i, j, k]) {
    if (this.k !== undefined && this.k !== k) this.begin(k);
    this.k = k;
    this.points.push({ i, j, inside: this.tool === "inside" });
    this.tell();
  }

  // Another slice, or another box: another object.
  begin(k) {
    this.clear();
    this.k = k;
  }

  tell() {
    this.draw();
    this.onMarked();
  }

  drop() {
    this.start = undefined;
    this.overlay.querySelector(".rubber")?.remove();
  }

  rubber(from, to) {
    const edge = this.overlay.getBoundingClientRect();
    const box = this.overlay.querySelector(".rubber") ?? this.overlay.appendChild(element("rubber"));
    Object.assign(box.style, {
      left: `${Math.min(from.x, to.clientX) - edge.left}px`,
      top: `${Math.min(from.y, to.clientY) - edge.top}px`,
      width: `${Math.abs(to.clientX - from.x)}px`,
      height: `${Math.abs(to.clientY - from.y)}px`,
    });
  }

  // The marks on the axial plane, while their slice is shown.
  draw() {
    this.overlay.querySelectorAll(".mark").forEach((mark) => mark.remove());
    if (this.k === undefined || this.viewer.slice !== this.k) return;
    const place = ([i, j]) => this.viewer.onScreen([i, j, this.k]);
    if (this.box) {
      const [i0, j0, i1, j1] = this.box;
      const [a, b] = [place([i0, j0]), place([i1, j1])];
      if (a && b) this.rect(a, b);
    }
    for (const { i, j, inside } of this.points) {
      const at = place([i, j]);
      if (at) this.dot(at, inside);
    }
  }

  rect(a, b) {
    const mark = this.overlay.appendChild(element("mark frame"));
    const [x, y] = [0, 1].map((axis) => [Math.min(a[axis], b[axis]), Math.abs(a[axis] - b[axis])]);
    Object.assign(mark.style, { left: `${x[0]}px`, top: `${y[0]}px`, width: `${x[1]}px`, height: `${y[1]}px` });
  }

  dot([x, y], inside) {
    const mark = this.overlay.appendChild(element(`mark dot ${inside ? "inside" : "outside"}`));
    mark.textContent = inside ? "+" : "−";
    Object.assign(mark.style, { left: `${x}px`, top: `${y}px` });
  }
}

function element(name) {
  return Object.assign(document.createElement("div"), { className: name });
}
