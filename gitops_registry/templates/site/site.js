// Search, sorting, filtering, comparing, the audit filter and livelier charts. Everything can be read without it.
// Text becomes text nodes only; nothing here makes markup of it or asks the network for anything.
"use strict";
(function () {
  const root = document.body.dataset.root;
  const MOST = 200;
  const registry = (window.registry = window.registry || {});
  const loading = {};

  function load(name) {
    loading[name] = loading[name] || new Promise(function (resolve, reject) {
      const script = document.createElement("script");
      script.src = root + "assets/" + name;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
    return loading[name];
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function plain(text) { return text.normalize("NFKC").toLowerCase(); }
  function filled(text, ...values) {
    let next = 0;
    return text.replace(/\{(\d*)\}/g, (_, at) => values[at === "" ? next++ : Number(at)]);
  }
  function number(value) {
    if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e15) return value.toLocaleString("en");
    if (size >= 1e-4 && size < 1e6) return String(Number(value.toFixed(4)));
    return value.toExponential(3).replace(/\.?0*e/, "e").replace(/([+-])(\d)$/, (_, sign, digit) => sign + "0" + digit);
  }

  // ── search

  function search() {
    const box = document.querySelector(".search"), field = document.getElementById("search"), found = document.getElementById("found");
    if (!box) return;
    box.hidden = false;
    function show() {
      const words = plain(field.value).split(/\s+/).filter(Boolean);
      found.replaceChildren();
      found.hidden = !words.length;
      if (!words.length || !registry.search) return;
      let hits = [];
      for (const [title, more, path, text] of registry.search) {
        if (!words.every((word) => text.includes(word))) continue;
        const head = plain(title);
        hits.push([words.every((word) => head.includes(word)) ? (head.startsWith(words[0]) ? 0 : 1) : 2, title, more, path]);
      }
      hits = hits.map((hit, at) => [...hit, at]).sort((a, b) => a[0] - b[0] || a[4] - b[4]).slice(0, 12);
      if (!hits.length) found.append(element("p", {}, field.dataset.none));
      for (const [, title, more, path] of hits) {
        found.append(element("a", { href: root + path, dir: "auto" }, title, " ", element("span", { class: "small" }, more)));
      }
    }
    field.addEventListener("focus", () => load("search.js").then(show, () => {}));
    field.addEventListener("input", () => load("search.js").then(show, () => {}));
    box.addEventListener("keydown", function (event) {
      const links = [...found.querySelectorAll("a")], at = links.indexOf(document.activeElement);
      if (event.key === "Escape") { field.value = ""; show(); field.focus(); }
      if (event.key === "ArrowDown" && links.length) { links[Math.min(at + 1, links.length - 1)].focus(); event.preventDefault(); }
      if (event.key === "ArrowUp" && at >= 0) { (at ? links[at - 1] : field).focus(); event.preventDefault(); }
      if (event.key === "Enter" && document.activeElement === field && links.length) links[0].click();
    });
    document.addEventListener("keydown", function (event) {
      if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) { field.focus(); event.preventDefault(); }
    });
    document.addEventListener("click", (event) => { if (!box.contains(event.target)) found.hidden = true; });
  }

  // ── tables

  function value(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
    return text !== "" && !isNaN(text) ? Number(text) : plain(text);
  }

  function compared(a, b) {
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  }

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach(function (head, column) {
      if ("plain" in head.dataset) return;
      const button = element("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", function () {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort((a, b) => (a[0] === "" || b[0] === "" ? compared(a[0], b[0]) : (down ? -1 : 1) * compared(a[0], b[0])));
        body.append(...rows.map((pair) => pair[1]));
      });
    });
    if (table.dataset.filter && body.rows.length > 5) {
      const field = element("input", { type: "search", class: "filter", "aria-label": table.dataset.filter, placeholder: table.dataset.filter });
      table.closest(".scroll").before(field);
      field.addEventListener("input", function () {
        const words = plain(field.value).split(/\s+/).filter(Boolean);
        for (const row of body.rows) {
          const text = plain(row.textContent);
          row.hidden = !words.every((word) => text.includes(word));
        }
      });
    }
  }

  // ── compare

  function compare() {
    const form = document.getElementById("compare"), table = document.getElementById("compared");
    if (!form) return;
    const { versions, lower, pair } = JSON.parse(document.getElementById("versions").dataset.told);
    const known = new Map(versions.map((one) => [one.version, one]));
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const side of ["left", "right"]) {
      for (const one of [...versions].reverse()) form.elements[side].append(element("option", { value: one.version }, "v" + one.version + " · " + one.stage));
      const wanted = Number(asked.get(side));
      form.elements[side].value = known.has(wanted) ? wanted : pair[side === "left" ? 0 : 1];
    }
    function rows(section, title, left, right) {
      const body = element("tbody", { "data-section": section }, element("tr", { class: "section" }, element("th", { scope: "rowgroup", colspan: 5 }, title)));
      for (const name of new Set([...Object.keys(left), ...Object.keys(right)])) {
        const one = left[name], other = right[name], both = typeof one === "number" && typeof other === "number";
        const difference = both ? other - one : null, same = one === other;
        const better = difference && lower[name] !== null && section === "metrics" ? ((difference < 0) === lower[name] ? "better" : "worse") : "";
        body.append(element("tr", same ? { class: "same" } : {},
          element("th", { scope: "row", dir: "auto" }, name), element("td", { class: "number", dir: "auto" }, number(one)), element("td", { class: "number", dir: "auto" }, number(other)),
          element("td", { class: "number" }, difference === null ? "" : (difference > 0 ? "+" : "") + number(difference)),
          element("td", {}, ...(better ? [element("span", { class: "verdict " + better }, table.dataset[better])] : []))));
      }
      return body;
    }
    function show() {
      const left = known.get(Number(form.elements.left.value)), right = known.get(Number(form.elements.right.value));
      table.querySelector("[data-side=left]").textContent = "v" + left.version;
      table.querySelector("[data-side=right]").textContent = "v" + right.version;
      if (left.version !== pair[0] || right.version !== pair[1]) {
        for (const body of [...table.tBodies]) body.remove();
        table.append(rows("metrics", table.dataset.metrics, left.metrics, right.metrics), rows("params", table.dataset.params, left.params, right.params));
      } else { for (const body of [...table.tBodies]) body.remove(); table.append(...first); }
      table.classList.toggle("different", form.elements.different.checked);
    }
    const first = [...table.tBodies];
    form.hidden = false;
    form.addEventListener("change", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    show();
  }

  // ── the audit log

  function audit() {
    const form = document.getElementById("audit"), log = document.getElementById("log"), pager = document.querySelector(".pager");
    if (!form) return;
    form.addEventListener("submit", (event) => event.preventDefault());
    load("log.js").then(function () {
      const first = [...log.childNodes];
      const options = { model: new Set(), person: new Set(), event: new Set() };
      // Oldest last: a change is found under the name that its model has now, and under the one it had then.
      const now = new Map();
      for (const one of registry.log) {
        options.person.add(one.actor);
        for (const change of one.changes) if (change.renamed_to) now.set(change.model, now.get(change.renamed_to) ?? change.renamed_to);
        for (const change of one.changes) {
          change.now = now.get(change.model) ?? change.model;
          for (const name of [change.model, change.now]) if (name) options.model.add(name);
          options.event.add(change.kind);
        }
      }
      for (const [name, values] of Object.entries(options)) {
        for (const text of [...values].sort()) form.elements[name].append(element("option", { value: text }, text));
      }
      function line(one) {
        const what = element("p", { class: "what" });
        const texts = one.changes.length ? one.changes.slice(0, 20).map((change) => change.text) : [one.subject];
        if (one.changes.length > 20) texts.push(filled(log.dataset.more, one.changes.length - 20));
        texts.forEach(function (text, at) {
          if (at) what.append(element("br"));
          what.append(element("span", { dir: "auto" }, text));
        });
        return element("li", {}, what, element("p", { class: "who" },
          element("time", { datetime: one.time }, one.time.slice(0, 16).replace("T", " ")), " ", element("span", { dir: "auto" }, one.actor), " ",
          element("span", { class: "grade " + one.grade }, log.dataset[one.grade] + (one.signer ? ": " + one.signer : "")), " ",
          element("a", { class: "commit", href: root + "decisions/" + one.commit + ".html" }, one.commit.slice(0, 9))));
      }
      function show() {
        const { model, person, event, since } = form.elements;
        const filters = model.value || person.value || event.value || since.value;
        pager.hidden = Boolean(filters);
        if (!filters) { log.replaceChildren(...first); form.querySelector("output").textContent = ""; return; }
        const found = registry.log.filter((one) => (!person.value || one.actor === person.value) && (!since.value || one.time >= since.value) &&
          ((!model.value && !event.value) || one.changes.some((change) => (!model.value || change.model === model.value || change.now === model.value) && (!event.value || change.kind === event.value))));
        log.replaceChildren(found.length ? element("ol", { class: "log" }, ...found.slice(0, MOST).map(line)) : element("p", {}, form.dataset.none));
        form.querySelector("output").textContent = filled(form.dataset.count, Math.min(found.length, MOST), found.length);
      }
      const asked = new URLSearchParams(location.hash.slice(1));
      for (const name of ["model", "person", "event", "since"]) if (asked.has(name)) form.elements[name].value = asked.get(name);
      form.hidden = false;
      form.addEventListener("input", show);
      show();
    }, () => {});
  }

  // ── charts

  function charts() {
    for (const figure of document.querySelectorAll("div.picture")) {
      const button = figure.querySelector("button");
      button.hidden = false;
      button.addEventListener("click", function () {
        button.disabled = true;
        Promise.all([load("vega.js"), load("charts.js")]).then(function () {
          const specification = structuredClone(registry.charts[figure.dataset.kind]);
          const rows = JSON.parse(figure.dataset.rows);
          for (const data of specification.data) if (data.name === "rows") data.values = rows;
          const place = element("div", { class: "live" });
          const drawn = figure.querySelector("svg.chart");
          place.hidden = true;
          drawn.before(place);
          return window.vegaEmbed(place, specification, { mode: "vega", ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: false })
            .then(function () { place.hidden = false; place.setAttribute("role", "img"); place.setAttribute("aria-label", drawn.getAttribute("aria-label")); drawn.remove(); button.remove(); });
        }).catch(function () { button.disabled = false; });
      });
    }
  }

  search();
  document.querySelectorAll("table.sortable").forEach(sortable);
  compare();
  audit();
  charts();
})();
