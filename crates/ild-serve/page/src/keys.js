// Keys. None of them does anything while somebody types.

const TOOLS = { v: "look", b: "box", i: "inside", o: "outside", p: "paint", e: "erase" };
const CLICKS = { f: "follow", a: "auto", enter: "accept", n: "next", x: "cancel" };

export function bindKeys(does) {
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input:not([type=range]):not([type=checkbox]), select, textarea");
    if (typing || event.altKey) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      const again = key === "y" || (key === "z" && event.shiftKey);
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      return does.click(again ? "redo" : "undo");
    }
    if (key === "enter" && event.target.matches?.("button")) return;
    const done = act(key, event, does);
    if (done) event.preventDefault();
  });
}

function act(key, event, does) {
  const many = event.shiftKey ? 5 : 1;
  if (TOOLS[key]) does.tool(TOOLS[key]);
  else if (CLICKS[key]) does.click(CLICKS[key]);
  else if (key >= "1" && key <= "9") does.label(Number(key) - 1);
  else if (key === "arrowup" || key === "pageup") does.slices(many);
  else if (key === "arrowdown" || key === "pagedown") does.slices(-many);
  else if (key === "escape") does.clear();
  else if (key === "[" || key === "]") does.pen(key === "]" ? 1 : -1);
  else if (key === "w") does.window();
  else return false;
  return true;
}
