python -m utils.auto_loop.generate_and_run \
  --base-cfg src/lerobot/scripts/train_config/act_fr3_ot_99_20_baseline.json \
  --reason "reg+tau" \
  --changes 'ot.loss_config.reg@mul=1.5' 'ot.loss_config.tau_src@set=1.0' 'ot.loss_config.tau_tgt@set=1.0' 'ot.lambda_ot@set=0.12'

python -m utils.auto_loop.generate_and_run \
  --base-cfg src/lerobot/scripts/train_config/act_fr3_ot_99_20_baseline.json \
  --reason "tau=2, lam=0.15" \
  --changes 'ot.loss_config.tau_src@set=2.0' 'ot.loss_config.tau_tgt@set=2.0' 'ot.lambda_ot@set=0.15' 'ot.loss_config.features.*.weight_label@mul=0.5'

python -m utils.auto_loop.generate_and_run \
  --base-cfg src/lerobot/scripts/train_config/act_fr3_ot_99_20_baseline.json \
  --reason "tau=5, action=0.005" \
  --changes 'ot.loss_config.tau_src@set=5.0' 'ot.loss_config.tau_tgt@set=5.0' 'ot.lambda_ot@set=0.10' 'ot.loss_config.features.*.weight_label@set=0.005'
