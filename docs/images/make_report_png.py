"""Makes `report.png`, the README's picture: the top of a round report, rendered with markdown-it-py and Chromium.

    python docs/images/make_report_png.py reports/act_ot.md docs/images/report.png

Needs `chromium` on the PATH (or `$CHROMIUM`) and the `dev` extra. A second name that ends in
`.html` gets the page itself.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

# Close to how code hosts show Markdown: the width of their text, and tables that scroll sideways.
STYLE = """
body { font: 14px/1.5 "DejaVu Sans", "Liberation Sans", sans-serif; color: #1f2328; margin: 24px 32px; }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .25em; }
h1 { font-size: 1.8em } h2 { font-size: 1.35em } h3 { font-size: 1.15em } h4 { font-size: 1em }
code { font-family: "DejaVu Sans Mono", monospace; font-size: 86%; background: #eff1f3;
  border-radius: 5px; padding: .1em .35em; }
pre { background: #f6f8fa; border-radius: 5px; padding: 12px; overflow: auto } pre code { background: none; padding: 0 }
table { border-collapse: collapse; display: block; overflow: auto; font-size: 90%; }
th, td { border: 1px solid #d1d9e0; padding: 5px 10px; text-align: left; vertical-align: top; }
tr:nth-child(2n) { background: #f6f8fa } summary { cursor: pointer; color: #0969da }
"""


def page(markdown: str) -> str:
    """A whole HTML page."""
    body = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    return f"<!doctype html><meta charset=utf-8><title>report</title><style>{STYLE}</style>{body}"


def shot(html: Path, png: Path, width: int, height: int) -> None:
    """The top of a page as a picture of `width` × `height` pixels."""
    chromium = os.environ.get("CHROMIUM", "chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    subprocess.run([chromium, *options, f"--screenshot={png.absolute()}", html.absolute().as_uri()], check=True)


def main() -> None:
    """Render a report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("to", type=Path)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--height", type=int, default=1000)
    asked = parser.parse_args()
    html = page(asked.report.read_text(encoding="utf-8"))
    if asked.to.suffix == ".html":
        asked.to.write_text(html, encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        file.write_text(html, encoding="utf-8")
        shot(file, asked.to, asked.width, asked.height)


if __name__ == "__main__":
    main()
