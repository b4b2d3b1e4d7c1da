python -m utils.auto_loop.analyze_offline \
  --outputs-root outputs/train --limit 100 \
  --out-json .codex_tmp/offline_summary.json
