"""What ``/viewer/`` says where the page was not built. No style: its policy allows none inline."""

from typing import Final

MISSING: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>SAM-Med3D-MoE: the page is not installed</title></head>
<body>
<h1>The page is not installed</h1>
<p>The service runs, without its page: the Python package does not hold it. Get it by one of</p>
<ul>
<li>the container image, which has it;</li>
<li><code>make viewer</code> in the project's folder, then <code>pip install .</code> anew,
or serve from there. It needs Node.js 22.18 or newer, which <code>make demo</code> brings along, and
the npm registry once.</li>
</ul>
<p>Everything else is here: the <a href="../docs">API</a>, and the viewers that connect to it.</p>
</body></html>
"""
