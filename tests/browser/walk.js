// Walks of a page: how what is reached by Tab, and what is not, is found out. `walk.py` presses the keys.
(() => {
    const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex], [contenteditable]";
    const listening = new Set();
    const add = EventTarget.prototype.addEventListener;
    EventTarget.prototype.addEventListener = function (type, ...rest) {
        if (/^(click|dblclick|pointerdown|mousedown)$/.test(type) && this instanceof Element) listening.add(this);
        return add.call(this, type, ...rest);
    };
    const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length > 0;
    const tag = (one) => one.outerHTML.slice(0, 140).replace(/\s+/g, " ");
    const scope = () => [...document.querySelectorAll("dialog:modal")].at(-1) ?? document.body;

    // What it is called, as far as this page names its controls; axe checks the same by all the rules there are.
    function name(one) {
        const text = (each) => each.ariaLabel ?? [...each.querySelectorAll("[aria-label]")].map((inner) => inner.ariaLabel).join(" ") + each.textContent;
        const by = (one.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)).filter(Boolean);
        return [...by, ...(one.labels ?? []), one].map(text).join(" ");
    }

    // A group of radio buttons is one stop; its arrows lead through it.
    function stop(one) {
        if (one.matches(":disabled, [type=hidden]") || one.tabIndex < 0 || !seen(one)) return false;
        if (one.type !== "radio" || !one.name) return true;
        const group = [...(one.form ?? document).querySelectorAll(`input[name="${CSS.escape(one.name)}"]`)]
            .filter((other) => other.form === one.form && !other.disabled);
        return one === (group.find((other) => other.checked) ?? group[0]);
    }

    // Whatever may show the focus: the control itself, what is drawn over it, its label, the frame around a field.
    function look(one) {
        const around = [one, one.nextElementSibling, one.parentElement, one.closest("form")].filter(Boolean);
        const drawn = [...around.map((each) => getComputedStyle(each)), getComputedStyle(one, "::after")];
        return drawn.map((style) => [
            style.outlineStyle === "none" ? "" : `${style.outlineWidth} ${style.outlineColor}`, style.borderColor, style.boxShadow, style.backgroundColor,
        ].join());
    }

    // Whether the ring that the browser draws around it is cut off on more than one side by what it stands in.
    function cut(one) {
        const style = getComputedStyle(one);
        if (style.outlineStyle === "none") return false;
        const out = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth) / 2;
        const box = one.getBoundingClientRect();
        const sides = { left: box.left - out, top: box.top - out, right: box.right + out, bottom: box.bottom + out };
        const lost = new Set();
        for (let frame = one.parentElement; frame !== null; frame = frame.parentElement) {
            const drawn = getComputedStyle(frame);
            if (drawn.overflow === "visible" && drawn.overflowX === "visible" && frame.localName !== "html") continue;
            const edge = frame.localName === "html" ? { left: 0, top: 0, right: innerWidth, bottom: innerHeight } : frame.getBoundingClientRect();
            for (const side of ["left", "top"]) if (sides[side] < edge[side] - 0.5) lost.add(side);
            for (const side of ["right", "bottom"]) if (sides[side] > edge[side] + 0.5) lost.add(side);
            if (drawn.position === "fixed") break;
        }
        return lost.size > 1;
    }

    // Whether something of it can be seen where it stands now.
    function covered(one) {
        if (getComputedStyle(one).pointerEvents === "none") return false; // nothing can be learnt of it this way
        const part = [0.5, 0.1, 0.9];
        const points = [...one.getClientRects()].flatMap((box) =>
            part.flatMap((across) => part.map((down) => [box.left + box.width * across, box.top + box.height * down])));
        return !points.some(([x, y]) => {
            const hit = document.elementFromPoint(x, y);
            return hit && (one.contains(hit) || hit.closest("label")?.control === one);
        });
    }

    let walked = [];
    let before = new Map();
    function note() {
        const one = document.activeElement;
        if (!one || one === document.body || one.id === "walk-start") return walked.push({ one: null });
        // Now, as what stands in a menu is gone once it is left.
        const last = walked.at(-1)?.one;
        const back = last?.isConnected && last.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_PRECEDING ? last : null;
        walked.push({ one, back, shown: !before.has(one) || String(look(one)) !== String(before.get(one)), covered: covered(one), cut: cut(one) });
    }
    add.call(document, "keydown", (event) => event.key === "Tab" && note(), true);

    globalThis.walk = {
        // Return how many stops there are, standing before the first.
        start() {
            const dialog = scope().closest("dialog");
            let start = dialog;
            if (start === null) {
                start = Object.assign(document.createElement("span"), { id: "walk-start", tabIndex: -1 });
                document.body.prepend(start);
            }
            start.focus({ preventScroll: true });
            const stops = [...scope().querySelectorAll(CONTROLS)].filter(stop);
            before = new Map(stops.map((one) => [one, look(one)]));
            walked = [];
            return stops.length;
        },
        end() {
            note();
            const stops = [...before.keys()].filter((one) => one.isConnected && stop(one));
            const found = [];
            const met = new Set();
            let last = null;
            walked.shift();
            for (const { one, back, shown, covered, cut } of walked) {
                if (one !== null && one === last && stops.length > 1) found.push(`Tab does not leave ${tag(one)}`);
                last = one;
                if (one === null || met.has(one)) continue;
                met.add(one);
                if (!shown) found.push(`the focus does not show on ${tag(one)}`);
                if (cut) found.push(`its ring is cut off: ${tag(one)}`);
                if (back) found.push(`after ${tag(back)} comes ${tag(one)}`);
                if (covered) found.push(`focused and not seen: ${tag(one)}`);
                if (one.tabIndex > 0) found.push(`out of the order: ${tag(one)}`);
            }
            for (const one of stops) if (!met.has(one)) found.push(`not reached: ${tag(one)}`);
            for (const one of stops) if (!name(one).trim()) found.push(`without a name: ${tag(one)}`);
            // What takes a click and is nothing that a key reaches. Options are walked through by arrows, in their own test.
            const other = `${CONTROLS}, label, [role=option], dialog`;
            for (const one of scope().querySelectorAll("*")) {
                const takes = listening.has(one) && !one.querySelector(CONTROLS) || getComputedStyle(one).cursor === "pointer";
                if (takes && !one.closest(other) && seen(one)) found.push(`for a mouse only: ${tag(one)}`);
            }
            document.getElementById("walk-start")?.remove();
            return found;
        },
    };
})()
