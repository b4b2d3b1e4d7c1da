# 并发启动（示例）
python utils/auto_loop/autorun.py \
  --cfgs <四个新 cfg 路径> \
  --steps 3000 --log-freq 50 --eval-freq 200 \
  --concurrency 4 --gpus 4,5,6,7 \
  --exec --wandb-online --wandb-entity <entity> --wandb-project <project>
