// The panel beside the viewer: classes with their volumes, what the model does, what is to be said.

const $ = (id) => document.getElementById(id);

export function showClasses(classes, choose) {
  $("classes").replaceChildren(
    ...classes.map(({ id, name, color }, at) => {
      const row = document.createElement("button");
      row.type = "button";
      row.className = "class";
      row.dataset.id = id;
      row.setAttribute("role", "radio");
      const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
      swatch.style.background = `rgb(${color})`;
      const [label, key, ml] = [name, at < 9 ? String(at + 1) : "", ""].map((text, i) => {
        return Object.assign(document.createElement("span"), { className: ["name", "key", "ml"][i], textContent: text });
      });
      row.append(swatch, label, key, ml);
      row.addEventListener("click", () => choose(id));
      return row;
    }),
  );
}

export function showChosen(id) {
  for (const row of $("classes").children) row.setAttribute("aria-checked", String(Number(row.dataset.id) === id));
}

// Volumes in mL, and in percent of the lung once that is known.
export function showVolumes({ ml, lung }) {
  for (const row of $("classes").children) {
    const volume = ml[row.dataset.id];
    const share = volume !== undefined && lung?.ml ? ` · ${((100 * volume) / lung.ml).toFixed(1)} %` : "";
    row.querySelector(".ml").textContent = volume === undefined ? "–" : `${volume.toFixed(1)} mL${share}`;
  }
  const doubts = lung?.doubts?.length ? ` (doubtful: ${lung.doubts.join("; ")})` : "";
  $("lung").textContent = lung ? `lung ${(lung.ml / 1000).toFixed(2)} L${doubts}` : "lung: being measured";
}

export function showSteps({ steps, changed }) {
  $("undo").disabled = steps[0] === 0;
  $("redo").disabled = steps[1] === 0;
  $("unsaved").textContent = changed ? "not accepted yet" : "";
}

export function showOthers(others) {
  const names = others.map(({ who }) => who || "somebody").join(", ");
  $("others").hidden = others.length === 0;
  $("others").textContent = `${names} ${others.length === 1 ? "is" : "are"} working on this case too`;
}

export function showJob(job) {
  const running = job?.state === "running";
  $("job").hidden = !running;
  if (running) {
    const bar = $("progress");
    if (job.total) Object.assign(bar, { max: job.total, value: job.done });
    else bar.removeAttribute("value");
    $("jobtext").textContent = `${job.what === "auto" ? "looking for lesions" : "following"}: ${job.done} of ${job.total || "?"} slices`;
  }
  for (const id of ["follow", "auto"]) $(id).disabled = running;
}

export function showCases(cases, current) {
  const state = ({ accepted, unfinished, uncertainty }) => {
    const score = uncertainty == null ? "" : ` · uncertain ${uncertainty.toFixed(2)}`;
    return (unfinished ? " · unfinished" : accepted ? " · accepted" : "") + score;
  };
  $("cases").replaceChildren(...cases.map((it) => new Option(it.id + state(it), it.id, false, it.id === current)));
}

// The accepted mask of a DICOM series, as a file for the archive.
export function showSeg({ id, dicom, accepted }) {
  $("seg").hidden = !(dicom && accepted);
  $("seg").href = `/page/case/${encodeURIComponent(id)}/seg.dcm`;
}

// A sentence for the person; refusals stay until the next one.
export function say(text, wrong = false) {
  $("said").textContent = text;
  $("said").classList.toggle("wrong", wrong);
}
