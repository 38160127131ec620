// The CT and the mask over it, in three planes: NiiVue, and how its voxels are ours.

import { cmapper, DRAG_MODE, NVImage, Niivue, SLICE_TYPE } from "@niivue/niivue";

// The axial plane, on which boxes are drawn, is the large one: left, top, width, height.
const LAYOUT = [
  { sliceType: SLICE_TYPE.AXIAL, position: [0, 0, 0.64, 1] },
  { sliceType: SLICE_TYPE.CORONAL, position: [0.64, 0, 0.36, 0.5] },
  { sliceType: SLICE_TYPE.SAGITTAL, position: [0.64, 0.5, 0.36, 0.5] },
];

export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.95, 0.75, 0.2, 0.8],
      crosshairGap: 6,
      crosshairWidth: 0.15,
      crosshairWidthUnit: "percent",
      dragAndDropEnabled: false,
      dragMode: DRAG_MODE.windowing,
      isColorbar: false,
      isRadiologicalConvention: true,
      loadingText: "",
      multiplanarForceRender: false,
      multiplanarShowRender: 0,
      show3Dcrosshair: false,
    });
    this.nv.opts.clickToSegment = false;
    this.onSlice = () => {};
    this.onDrawn = () => {};
  }

  async attach() {
    await this.nv.attachToCanvas(this.canvas);
    this.nv.setSliceType(SLICE_TYPE.MULTIPLANAR);
    this.nv.setCustomLayout(LAYOUT);
    this.nv.onLocationChange = (place) => this.onSlice(Math.round(place.vox[2]), place);
    this.nv.onMouseUp = () => this.nv.opts.drawingEnabled && this.onDrawn();
  }

  // Shows a CT of `dims` voxels (to the right, front, head) with these classes.
  async show(bytes, dims, classes) {
    for (const volume of [...this.nv.volumes]) this.nv.removeVolume(volume);
    this.nv.closeDrawing();
    const volume = await NVImage.new(bytes, "ct.nii");
    this.nv.addVolume(volume);
    const same = [1, 2, 3].every((axis) => volume.permRAS[axis - 1] === axis && volume.dimsRAS[axis] === dims[axis - 1]);
    if (!same) throw new Error("this browser shows the CT in another order than the server has it; marks would be misplaced");
    this.dims = dims;
    this.nv.createEmptyDrawing();
    this.nv.drawLut = lut(classes);
    this.nv.setDrawOpacity(0.5);
    this.goTo([dims[0] / 2, dims[1] / 2, Math.floor(dims[2] / 2)]);
  }

  get drawing() {
    return this.nv.drawBitmap;
  }

  refresh() {
    this.nv.refreshDrawing(true);
  }

  // Grey levels from `level` - `width`/2 to `level` + `width`/2, HU.
  setWindow({ level_hu: level, width_hu: width }) {
    const [volume] = this.nv.volumes;
    if (!volume) return;
    [volume.cal_min, volume.cal_max] = [level - width / 2, level + width / 2];
    this.nv.updateGLVolume();
  }

  setOpacity(opacity) {
    this.nv.setDrawOpacity(opacity);
  }

  // Paints with `label` (0 takes away) in strokes of `size` voxels; `undefined`: not at all.
  paintWith(label, size = 1) {
    this.nv.setDrawingEnabled(label !== undefined);
    if (label !== undefined) {
      this.nv.opts.penSize = size;
      this.nv.setPenValue(label, false);
    }
  }

  goTo(vox) {
    this.nv.scene.crosshairPos = this.nv.vox2frac(vox);
    this.nv.drawScene();
    this.nv.createOnLocationChange();
  }

  step(slices) {
    const [i, j, k] = this.nv.frac2vox(this.nv.scene.crosshairPos);
    this.goTo([i, j, Math.min(this.dims[2] - 1, Math.max(0, k + slices))]);
  }

  get slice() {
    return Math.round(this.nv.frac2vox(this.nv.scene.crosshairPos)[2]);
  }

  // The voxel under a pointer and the plane it is in (0: axial); nothing beside the planes.
  voxelAt(event) {
    const [x, y] = this.onCanvas(event);
    const frac = this.nv.canvasPos2frac([x, y]);
    if (frac[0] < 0) return undefined;
    const tile = this.nv.screenSlices[this.nv.tileIndex(x, y)];
    return { vox: [...this.nv.frac2vox(frac)].map(Math.round), plane: tile?.axCorSag };
  }

  // Where a voxel of the axial plane is on the screen, relative to the canvas, CSS px.
  onScreen(vox) {
    const found = this.nv.frac2canvasPosWithTile(this.nv.vox2frac(vox), SLICE_TYPE.AXIAL);
    return found && [...found.pos].map((v) => v / this.scale);
  }

  get scale() {
    return this.canvas.width / this.canvas.clientWidth;
  }

  onCanvas(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * this.scale, (event.clientY - box.top) * this.scale];
  }
}

// The colour of each label; what has none is grey.
function lut(classes) {
  const colors = Array.from({ length: 256 }, () => [160, 160, 160]);
  for (const { id, color } of classes) colors[id] = color;
  const channel = (c) => colors.map((color) => color[c]);
  return cmapper.makeDrawLut({
    R: channel(0),
    G: channel(1),
    B: channel(2),
    A: colors.map((_, id) => (id ? 255 : 0)),
    I: colors.map((_, id) => id),
    labels: colors.map((_, id) => String(id)),
  });
}
