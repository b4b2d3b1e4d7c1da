# 生成 4 个变体（只写文件）
python -m utils.auto_loop.generate_and_run --base-cfg src/lerobot/scripts/train_config/fromwandb_h5ktqxph.json \
  --reason "pi unlock mild" \
  --changes 'ot.loss_config.reg@set=0.4' 'ot.loss_config.tau_src@set=2.0' 'ot.loss_config.tau_tgt@set=2.0' 'ot.lambda_ot@set=0.10' 'ot.loss_config.features.3.weight_label@set=0.002' 'ot.topk_src_episodes@set=20'

python -m utils.auto_loop.generate_and_run --base-cfg src/lerobot/scripts/train_config/fromwandb_h5ktqxph.json \
  --reason "pi unlock aggressive" \
  --changes 'ot.loss_config.reg@set=0.5' 'ot.loss_config.tau_src@set=3.0' 'ot.loss_config.tau_tgt@set=3.0' 'ot.lambda_ot@set=0.12' 'ot.loss_config.features.3.weight_label@set=0.002' 'ot.topk_src_episodes@set=20'

python -m utils.auto_loop.generate_and_run --base-cfg src/lerobot/scripts/train_config/fromwandb_h5ktqxph.json \
  --reason "sharpness=0.75" \
  --changes 'ot.loss_config.reg@set=0.3' 'ot.loss_config.tau_src@set=1.0' 'ot.loss_config.tau_tgt@set=1.0' 'ot.lambda_ot@set=0.10' 'ot.loss_config.features.3.weight_label@set=0.002' 'ot.topk_src_episodes@set=20' 'ot.sharpness@set=0.75'

python -m utils.auto_loop.generate_and_run --base-cfg src/lerobot/scripts/train_config/fromwandb_h5ktqxph.json \
  --reason "more OT mixing" \
  --changes 'ot.loss_config.reg@set=0.4' 'ot.loss_config.tau_src@set=1.0' 'ot.loss_config.tau_tgt@set=1.0' 'ot.lambda_ot@set=0.10' 'ot.loss_config.features.3.weight_label@set=0.002' 'ot.topk_src_episodes@set=20' 'ot.bc_src_weight@set=0.7'
