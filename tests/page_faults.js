// What is wrong with the page that is open, as lists of texts: run in the page by `inspect_page` (tests/conftest.py).
() => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const faults = { overflowing: [], low_contrast: [], without_alt: [], scrolling: [] };
  const width = document.documentElement.clientWidth;
  const said = (node) => (node.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
  const named = (one) => `<${one.localName}${one.getAttribute("class") ? "." + one.getAttribute("class") : ""}> ${said(one)}`;
  const shown = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const at = (one) => one.getBoundingClientRect();

  // Sideways: nothing leaves the window, a box that clips, or the picture that it is part of. What scrolls in its own box may.
  const holder = (one) => {
    for (let up = one.parentElement; up && up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible" && up.localName !== "html") return up;
    return null;
  };
  for (const one of document.body.querySelectorAll("*")) {
    const box = at(one);
    if (!shown(one) || box.width <= 1 || box.height <= 1) continue; // one pixel: for screen readers only
    const svg = one.ownerSVGElement;
    if (svg) {
      const frame = at(svg);
      const outside = box.left < frame.left - 1.5 || box.right > frame.right + 1.5 || box.top < frame.top - 1.5;
      if (one.localName === "text" && (outside || box.bottom > frame.bottom + 1.5)) faults.overflowing.push(named(one));
      continue;
    }
    const held = holder(one);
    if (!held && (box.right > width + 1 || box.left < -1)) faults.overflowing.push(named(one));
    const look = getComputedStyle(one).overflowX;
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1) {
      if (look === "auto" || look === "scroll") faults.scrolling.push(named(one));
      if (look === "hidden" || look === "clip") faults.overflowing.push(`cut off: ${named(one)}`);
    }
  }
  if (document.scrollingElement.scrollWidth > width + 1) faults.overflowing.push(`the page is ${document.scrollingElement.scrollWidth} px wide`);

  // Contrast of text, by WCAG 2.2 (1.4.3, level AA), against whatever is painted under its beginning, its middle and its end.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const read = new Map();
  const rgba = (colour) => {
    if (!read.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      read.set(colour, [r, g, b, a / 255]);
    }
    return [...read.get(colour)];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const fade = (one) => {
    let left = 1;
    for (let up = one; up; up = up.parentElement) left *= parseFloat(getComputedStyle(up).opacity);
    return left;
  };
  const paint = (one) => {
    const look = getComputedStyle(one);
    const inSvg = one.ownerSVGElement && one.localName !== "foreignObject";
    const flat = inSvg ? (look.fill.startsWith("url") ? "none" : look.fill) : look.backgroundColor;
    if (flat === "none" || (inSvg && ["g", "use", "line", "text", "tspan"].includes(one.localName))) return [0, 0, 0, 0];
    const colour = rgba(flat);
    colour[3] *= fade(one) * (inSvg ? parseFloat(look.fillOpacity) : 1);
    return colour;
  };
  const ground = (one, box, along) => {
    const stack = document.elementsFromPoint(box.left + box.width * along, box.top + box.height / 2);
    const place = stack.findIndex((other) => other === one || one.contains(other));
    let layers = place < 0 ? [] : stack.slice(place).filter((other) => !one.contains(other) || other === one);
    if (place < 0) for (let up = one; up; up = up.parentElement) layers.push(up);
    const root = getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches;
    return layers.reverse().reduce((under, other) => over(paint(other), under), root ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const one = node.parentElement;
    if (!node.textContent.trim() || !shown(one) || ["script", "style", "title", "desc", "option"].includes(one.localName)) continue;
    let box = at(one);
    if (box.width <= 1 || box.height <= 1 || box.right < 0 || box.bottom + scrollY < 0) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    one.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
    box = one.ownerSVGElement ? at(one) : (range.getClientRects()[0] ?? at(one));
    const look = getComputedStyle(one);
    const ink = rgba(one.ownerSVGElement ? look.fill : look.color);
    ink[3] *= fade(one) * (one.ownerSVGElement ? parseFloat(look.fillOpacity) : 1);
    const ratio = Math.min(...[0.04, 0.5, 0.96].map((along) => {
      const under = ground(one, box, along);
      const [low, high] = [luminance(over(ink, under)), luminance(under)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    }));
    const size = parseFloat(look.fontSize) * (one.ownerSVGElement ? Math.abs(one.getScreenCTM().a) || 1 : 1);
    const large = size >= 24 || (size >= 18.66 && parseInt(look.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.005) faults.low_contrast.push(`${ratio.toFixed(2)}: ${named(one)}`);
  }
  scrollTo(0, 0);

  // Pictures and films say what is to be seen on them, or that they are decoration.
  const told = (one) => {
    const ids = (one.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
    const label = ids.map((id) => said(document.getElementById(id) || document.createElement("i"))).join(" ") || one.getAttribute("aria-label");
    return (label || "").trim() || one.querySelector(":scope > title")?.textContent.trim();
  };
  for (const one of document.querySelectorAll("img, svg, video, canvas, [role=img], input[type=image], object, iframe")) {
    if (one.closest("[aria-hidden=true]") || ["none", "presentation"].includes(one.getAttribute("role"))) continue;
    if (one.ownerSVGElement) continue; // part of a picture
    const alt = one.localName === "img" || one.localName === "input";
    if (alt ? !one.hasAttribute("alt") && !told(one) : !told(one) && !one.getAttribute("title")) {
      faults.without_alt.push(one.outerHTML.slice(0, 100));
    }
  }
  return faults;
}
