pid=$(cat .codex_tmp/autorun_roundN.pid)
while kill -0 "$pid" 2>/dev/null; do sleep 60; done

# 生成下一轮 cfg（示例，按需调整 decide/changes）
python - << 'PY'
import json, re, subprocess, sys
from pathlib import Path
from utils.auto_loop.rules import decide

with open('.codex_tmp/offline_summary.json','r') as f:
    summaries=json.load(f)

# 选最新 loop 下的 run
loops={}
for k in summaries.keys():
    m=re.search(r"outputs/train/(loop_\d+)/",k)
    if m: loops.setdefault(m.group(1),[]).append(k)
latest=sorted(loops)[-1]

for rk in sorted(loops[latest]):
    props=decide(summaries[rk]) or []
    if not props: continue
    ch=props[0].changes; cli=[f"{k}={v}" for k,v in ch.items()]
    subprocess.run([
        sys.executable,'-m','utils.auto_loop.generate_and_run',
        '--base-cfg','<上一轮cfg路径>','--reason',props[0].reason,
        '--changes',*cli,'--steps','10000','--log-freq','100','--eval-freq','500',
        '--out-dir','src/lerobot/scripts/train_config'
    ])
PY
