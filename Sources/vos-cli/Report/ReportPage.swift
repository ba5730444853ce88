// The report's page: markup and style. ReportScript.swift holds what makes it move. No file and no
// address outside the page is ever asked for.

import Foundation

/// The page around a report's data.
enum ReportPage {
  static func html(title: String, json: String) -> String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="icon" href="data:,">
    <title>\(escaped(title))</title>
    <style>\(style)</style></head>
    <body>
    <header><h1>\(escaped(title))</h1><p id="facts" class="quiet"></p></header>
    <main>
    <section><h2>Overall</h2><div id="overall" class="cards"></div><ul id="notes"></ul></section>
    <section id="comparison" hidden><h2></h2><p></p><div class="plot"></div></section>
    <section><h2>Objects</h2>
    <p class="quiet">Points of 100. Click a heading to sort, a row to see its plot.</p>
    <div class="scroll"><table id="objects"></table></div></section>
    <section><h2>Over time</h2><p id="legend" class="quiet"></p><div id="plots"></div></section>
    <section id="frames"><h2>Worst frames</h2>
    <p class="quiet">Errors of the named object: <b class="key right">right</b>
    <b class="key missed">missed</b> <b class="key wrong">wrong</b></p>
    <div id="worst"></div></section>
    </main>
    <script id="data" type="application/json">\(json)</script>
    <script>\(ReportScript.text)</script>
    </body></html>

    """
  }

  private static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
  }

  private static let style = """
    :root{--ink:#1c2024;--quiet:#626b75;--line:#dfe3e8;--paper:#fff;--back:#f5f6f8;--hover:#eef3fb;
    --good:#1a7f4b;--bad:#b3261e}
    @media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--quiet:#9aa4af;--line:#343b43;
    --paper:#1d2126;--back:#14171a;--hover:#262d36;--good:#5fd39a;--bad:#ff8a80}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--back);color:var(--ink);
    font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
    header,main{max-width:1240px;margin:0 auto;padding:0 20px}
    h1{font-size:24px;margin:24px 0 0;overflow-wrap:anywhere}
    h2{font-size:18px;margin:0 0 10px}
    .quiet{color:var(--quiet);margin:4px 0 10px}
    section{background:var(--paper);border:1px solid var(--line);border-radius:10px;
    padding:16px 18px;margin:16px 0}
    .cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:12px}
    .card{border:1px solid var(--line);border-radius:8px;padding:12px 14px;min-width:0}
    .card h3{margin:0;font-size:15px;overflow-wrap:anywhere}
    .card .big{font-size:34px;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.2}
    .card .big small{font-size:14px;font-weight:400;color:var(--quiet);margin-left:6px}
    dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(92px,1fr));gap:6px 12px;margin:8px 0 0}
    dt{font-size:12px;color:var(--quiet)}dd{margin:0;font-variant-numeric:tabular-nums}
    #notes{margin:10px 0 0;padding-left:18px;color:var(--quiet)}#notes:empty{display:none}
    .scroll{overflow:auto;max-height:70vh}
    table{border-collapse:separate;border-spacing:0;width:100%;font-variant-numeric:tabular-nums}
    th,td{padding:5px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
    th{position:sticky;top:0;background:var(--paper);z-index:1;font-size:13px}
    th button{all:unset;cursor:pointer;font-weight:600}
    th button:focus-visible{outline:2px solid #4a8af4}
    th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper);
    max-width:44vw;overflow:hidden;text-overflow:ellipsis}
    th:first-child{z-index:2}
    tbody tr{cursor:pointer}tbody tr:hover td{background:var(--hover)}
    .swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
    #plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,360px),1fr));gap:14px}
    figure{margin:0;min-width:0}
    figcaption{font-size:13px;display:flex;justify-content:space-between;gap:8px;flex-wrap:wrap}
    figcaption b{overflow-wrap:anywhere}
    #plots svg{width:100%;height:auto;display:block;touch-action:pan-y}
    svg text{fill:var(--quiet);font-size:11px}svg .grid{stroke:var(--line)}
    .read{color:var(--quiet);font-variant-numeric:tabular-nums;min-height:1.4em}
    .marked{outline:2px solid #4a8af4;outline-offset:4px;border-radius:6px}
    .shot{border-top:1px solid var(--line);padding:12px 0}.shot:first-child{border-top:0;padding-top:0}
    .shot h3{font-size:14px;margin:0 0 6px;overflow-wrap:anywhere}
    .tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:8px}
    @media(max-width:760px){.tiles{grid-template-columns:repeat(2,1fr)}
    header,main{padding:0 10px}section{padding:12px}}
    .tile{position:relative;background:#22262b center/100% 100%;border-radius:6px;overflow:hidden}
    .tile.grey{background-blend-mode:luminosity}
    .tile i{position:absolute;inset:0;background:rgba(10,12,15,.45)}
    .tile img{position:absolute;inset:0;width:100%;height:100%;image-rendering:auto}
    .tile span{font-size:12px;position:absolute;left:6px;bottom:5px;background:rgba(0,0,0,.65);color:#fff;
    padding:1px 6px;border-radius:4px;max-width:calc(100% - 12px);overflow:hidden;text-overflow:ellipsis;
    white-space:nowrap}
    .key{display:inline-block;padding:0 8px;border-radius:4px;font-weight:500;color:#111}
    .key.right{background:#a9dfa9}.key.missed{background:#5b8dff}.key.wrong{background:#ff5c5c}
    .bar{display:grid;grid-template-columns:minmax(90px,210px) 1fr 52px;gap:8px;align-items:center;
    font-size:13px;font-variant-numeric:tabular-nums}
    .bar>:first-child{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
    .bar>:last-child{text-align:right}
    .track{position:relative;height:12px;background:var(--back);border-radius:3px}
    .track i{position:absolute;top:0;bottom:0;border-radius:3px}
    """
}
