WANDB_SENTRY_ENABLED=false \
setsid nohup python utils/auto_loop/autorun.py \
  --cfgs $(tr '\n' ' ' < .codex_tmp/next_round_cfgs_calibrated.txt) \
  --steps 10000 --log-freq 100 --eval-freq 500 \
  --concurrency 4 --gpus 0,1,2,3 \
  --exec --wandb-online --wandb-entity <entity> --wandb-project <project> \
  > .codex_tmp/autorun_roundN.log 2>&1 & echo $!
