cfg=src/lerobot/scripts/train_config/act_fr3_ot_99_20_baseline_h2jr9c.json
setsid nohup python utils/auto_loop/autorun.py \
  --cfgs "$cfg" --steps 10000 \
  --log-freq 100 --eval-freq 500 \
  --concurrency 1 --gpus 3 \
  --exec --wandb-online --wandb-entity <entity> --wandb-project <project> \
  > .codex_tmp/autorun_fix_h2jr9c.log 2>&1 & echo $!
