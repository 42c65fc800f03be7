"""The process that draws many charts: reads specifications and rows, writes one SVG a line, and knows nothing else."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Draw what standard input asks for; a line of JSON text for each chart, in order."""
    import vl_convert

    told = json.load(sys.stdin.buffer)
    for kind, rows in told["jobs"]:
        chart = told["charts"][kind]
        data = [{**one, "values": rows} if one["name"] == told["data"] else one for one in chart["data"]]
        print(json.dumps(str(vl_convert.vega_to_svg({**chart, "data": data}))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
