// The script of the report's page: fills it from the embedded data, sorts, plots.

enum ReportScript {
  static let text = #"""
    'use strict';
    const D = JSON.parse(document.getElementById('data').textContent);
    const COLORS = ['#2f6fde', '#d9661f', '#2b9a66', '#b0339b', '#8a6d1b', '#5b5bd6'];
    const NAMES = ['J&F', 'J', 'J recall', 'J decay', 'F', 'F recall', 'F decay', 'flicker'];
    const color = i => COLORS[i % COLORS.length];
    const points = v => typeof v === 'number' ? (100 * v).toFixed(1) : '–';
    const signed = v => typeof v === 'number' ? (v >= 0 ? '+' : '−') + Math.abs(100 * v).toFixed(1) : '–';
    const $ = id => document.getElementById(id);
    function el(tag, attributes, ...children) {
      const node = document.createElement(tag);
      for (const [k, v] of Object.entries(attributes || {})) {
        if (k === 'style') node.style.cssText = v; else if (k in node) node[k] = v; else node.setAttribute(k, v);
      }
      node.append(...children);
      return node;
    }
    const many = D.results.length > 1;

    // Overall
    const first = D.results[0];
    $('facts').textContent = [`protocol ${first.scoringProtocol}, ${first.objects.length} objects, ` +
      `${first.frames} frames`, ...D.facts].join(' · ');
    D.results.forEach((r, i) => {
      const grouped = r.seen && r.unseen;
      const list = el('dl');
      const add = (k, v) => list.append(el('div', {}, el('dt', {textContent: k}), el('dd', {textContent: points(v)})));
      r.global.forEach((v, k) => { if (k || grouped) add(NAMES[k], v); });
      if (grouped) {
        [['seen', r.seen], ['unseen', r.unseen]].forEach(([n, g]) => { add('J ' + n, g[1]); add('F ' + n, g[4]); });
      }
      const title = el('h3', {}, el('span', {className: 'swatch', style: `background:${color(i)}`}), r.name);
      $('overall').append(el('div', {className: 'card'}, title,
        el('div', {className: 'big'}, points(r.overall), el('small', {textContent: grouped ? 'G' : 'J&F'})), list));
    });
    [...new Set(D.results.flatMap(r => r.notes))].forEach(n => $('notes').append(el('li', {textContent: n})));

    // Comparison
    if (D.comparison) {
      const c = D.comparison, box = $('comparison');
      box.hidden = false;
      box.children[0].textContent = c.title;
      box.children[1].textContent = c.summary;
      const most = Math.max(0.01, ...c.differences.map(d => Math.abs(d[0])));
      c.names.map((n, i) => [n, c.differences[i]]).sort((a, b) => b[1][0] - a[1][0]).forEach(([n, d]) => {
        const width = 50 * Math.abs(d[0]) / most, left = d[0] >= 0 ? 50 : 50 - width;
        const bar = el('i', {style: `left:${left}%;width:${width}%;background:var(${d[0] >= 0 ? '--good' : '--bad'})`});
        box.children[2].append(el('div', {className: 'bar', title: `J ${signed(d[1])}, F ${signed(d[2])}`},
          el('span', {textContent: n}), el('div', {className: 'track'}, bar), el('span', {textContent: signed(d[0])})));
      });
    }

    // Objects: one column group for a single set, the means of each set otherwise.
    const objects = first.objects.map((o, i) => ({name: o.name, index: i,
      cells: many ? D.results.flatMap(r => [r.objects[i].row[0], r.objects[i].row[1], r.objects[i].row[4]]) : o.row}));
    const heads = ['object', ...(many ? D.results.flatMap((r, i) => ['J&F', 'J', 'F'].map(n => [n, i])) : NAMES)];
    let order = {column: -1, down: false};
    const body = el('tbody');
    function fill() {
      const key = o => order.column < 0 ? o.index : order.column === 0 ? o.name : o.cells[order.column - 1];
      const value = o => { const k = key(o); return k === 'nan' ? -Infinity : k; };
      const rows = [...objects].sort((a, b) => {
        const x = value(a), y = value(b);
        return (x < y ? -1 : x > y ? 1 : a.index - b.index) * (order.down ? -1 : 1);
      });
      body.replaceChildren(...rows.map(o => {
        const best = many ? Math.max(...D.results.map((_, i) => o.cells[3 * i])) : 0;
        const row = el('tr', {}, el('td', {textContent: o.name, title: o.name}), ...o.cells.map((v, k) =>
          el('td', {textContent: points(v), style: many && k % 3 === 0 && v === best ? 'font-weight:650' : ''})));
        row.onclick = () => {
          const plot = $('plot' + o.index);
          document.querySelectorAll('.marked').forEach(n => n.classList.remove('marked'));
          plot.classList.add('marked');
          plot.scrollIntoView({block: 'center'});
        };
        return row;
      }));
      table.querySelectorAll('th').forEach((th, k) => {
        th.setAttribute('aria-sort', k === order.column ? (order.down ? 'descending' : 'ascending') : 'none');
        th.querySelector('em').textContent = k === order.column ? (order.down ? ' ↓' : ' ↑') : '';
      });
    }
    const table = $('objects');
    const head = el('tr', {}, ...heads.map((h, k) => {
      const parts = Array.isArray(h)
        ? [el('span', {className: 'swatch', style: `background:${color(h[1])}`, title: D.results[h[1]].name}), h[0]] : [h];
      const button = el('button', {}, ...parts, el('em', {style: 'font-style:normal'}));
      button.onclick = () => {
        order = {column: k, down: order.column === k ? !order.down : k > 0};
        fill();
      };
      return el('th', {scope: 'col'}, button);
    }));
    table.append(el('thead', {}, head), body);
    fill();

    // Plots, drawn when they come into view.
    const W = 360, H = 150, L = 28, B = 18, T = 6, R = 4;
    const svg = (tag, a) => {
      const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const k in a) node.setAttribute(k, a[k]);
      return node;
    };
    function draw(figure, index) {
      const o = first.objects[index], n = o.frames.length;
      const x = i => L + (W - L - R) * (n > 1 ? i / (n - 1) : 0.5), y = v => T + (H - T - B) * (1 - v);
      const chart = svg('svg', {viewBox: `0 0 ${W} ${H}`, role: 'img'});
      for (const v of [0, 0.5, 1]) {
        chart.append(svg('line', {x1: L, x2: W - R, y1: y(v), y2: y(v), class: 'grid'}));
        const label = svg('text', {x: L - 5, y: y(v) + 4, 'text-anchor': 'end'});
        label.textContent = 100 * v;
        chart.append(label);
      }
      [[0, 'start'], [n - 1, 'end']].forEach(([i, anchor]) => {
        const label = svg('text', {x: anchor === 'start' ? L : W - R, y: H - 4, 'text-anchor': anchor});
        label.textContent = o.frames[i];
        if (i || anchor === 'start') chart.append(label);
      });
      D.results.forEach((r, i) => [['f', '4 3', 0.75], ['j', '', 1]].forEach(([k, dash, opacity]) => {
        const values = r.objects[index][k];
        const line = values.map((v, t) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(' ');
        chart.append(values.length > 1
          ? svg('polyline', {points: line, fill: 'none', stroke: color(i), 'stroke-width': 1.7,
            'stroke-dasharray': dash, opacity, 'stroke-linejoin': 'round'})
          : svg('circle', {cx: x(0), cy: y(values[0]), r: 3, fill: color(i)}));
      }));
      const cursor = svg('line', {y1: T, y2: H - B, stroke: 'currentColor', opacity: 0.5, visibility: 'hidden'});
      chart.append(cursor);
      const read = figure.querySelector('.read');
      const means = read.textContent;
      chart.onpointermove = e => {
        const box = chart.getBoundingClientRect();
        const at = ((e.clientX - box.left) / box.width * W - L) / (W - L - R) * (n - 1);
        const i = Math.max(0, Math.min(n - 1, Math.round(at)));
        cursor.setAttribute('x1', x(i));
        cursor.setAttribute('x2', x(i));
        cursor.setAttribute('visibility', 'visible');
        read.textContent = `${o.frames[i]}: ` + D.results.map(r =>
          `J ${points(r.objects[index].j[i])} F ${points(r.objects[index].f[i])}`).join(' | ');
      };
      chart.onpointerleave = () => { cursor.setAttribute('visibility', 'hidden'); read.textContent = means; };
      figure.append(chart);
    }
    const watcher = new IntersectionObserver(entries => entries.forEach(e => {
      if (!e.isIntersecting) return;
      watcher.unobserve(e.target);
      e.target.style.minHeight = '';
      draw(e.target, +e.target.dataset.index);
    }), {rootMargin: '600px'});
    $('legend').append('Solid: J, dashed: F. ');
    if (many) D.results.forEach((r, i) => $('legend').append(
      el('span', {className: 'swatch', style: `background:${color(i)};margin-left:10px`}), r.name));
    first.objects.forEach((o, i) => {
      const means = D.results.map(r => `J&F ${points(r.objects[i].row[0])}`).join(' | ');
      const figure = el('figure', {id: 'plot' + i, style: 'min-height:170px'}, el('figcaption', {},
        el('b', {textContent: o.name}), el('span', {className: 'read', textContent: means})));
      figure.dataset.index = i;
      $('plots').append(figure);
      watcher.observe(figure);
    });

    // Worst frames: the image is stored once and lies under each of its tiles.
    if (!D.worst.length) $('frames').hidden = true;
    D.worst.forEach(w => {
      const shot = el('div', {className: 'shot'},
        el('h3', {textContent: `${w.object}, frame ${w.frame}`}));
      const tiles = el('div', {className: 'tiles'});
      const tile = (label, overlay, dim) => {
        const box = el('div', {className: 'tile', style: `aspect-ratio:${w.ratio}`});
        if (w.image) box.style.backgroundImage = `url(${w.image})`;
        if (dim) box.append(el('i'));
        if (overlay) box.append(el('img', {src: overlay, alt: label, loading: 'lazy'}));
        box.append(el('span', {textContent: label}));
        tiles.append(box);
      };
      if (w.image) tile('image', null, false);
      tile('truth', w.truth, false);
      w.sides.forEach((s, i) => {
        const name = many ? s.name + ': ' : '';
        tile(`${name}result`, s.result, false);
        tile(`${name}J ${points(s.j)} F ${points(s.f)}`, s.errors, true);
      });
      shot.append(tiles);
      $('worst').append(shot);
    });
    """#
}
