// What runs over its box, out of the window or out of its drawing, or is too small to read.
() => {
  const found = [];
  const tell = (kind, one) => found.push(kind + " " + one.tagName + ": " + one.textContent.trim().slice(0, 60));
  for (const one of document.querySelectorAll("body *")) {
    if (one.closest("svg, details:not([open])")) continue;
    const style = getComputedStyle(one), box = one.getBoundingClientRect();
    if (one.closest("thead") && getComputedStyle(one.closest("thead")).position === "absolute") continue;
    const visible = style.overflowX === "visible" && style.display !== "inline" && one.clientWidth > 0;
    if (visible && one.scrollWidth > one.clientWidth + 1) tell("over its box", one);
    if (!one.closest(".scroll, pre") && box.width > 0 && box.right > innerWidth + 1) tell("out of the window", one);
    if (!one.children.length && one.textContent.trim() && parseFloat(style.fontSize) < 12) tell("tiny", one);
  }
  for (const one of document.querySelectorAll("svg text")) {
    if (one.closest("details:not([open])")) continue;
    const drawing = one.closest("svg"), outer = drawing.getBoundingClientRect(), box = one.getBoundingClientRect();
    if (box.left < outer.left - 1 || box.right > outer.right + 1 || box.bottom > outer.bottom + 2) tell("out of its drawing", one);
    if (13 * outer.width / drawing.viewBox.baseVal.width < 11.5) tell("tiny in its drawing", one);
  }
  return found;
}
