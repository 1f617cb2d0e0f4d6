#!/usr/bin/env bash
# sbatch experiments/cluster/slurm.sh      one experiment on several machines: train, embed, search exactly
# Change what is marked. A job that was cut off goes on where it was when it is submitted again.
#SBATCH --job-name=mrlbench
#SBATCH --nodes=2                  # change: machines
#SBATCH --ntasks-per-node=1        # one torchrun for each machine, which starts the processes there
#SBATCH --gpus-per-node=4          # change: leave the line out where there are none
#SBATCH --cpus-per-task=32         # change: all cores of a machine; its processes share them
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail

EXPERIMENT=${EXPERIMENT:-imagenet1k-resnet50}                      # change: a TOML file or a bare name
PROCESSES=${PROCESSES:-4}                                          # change: for each machine: its GPUs, or 1 to 4 on CPUs
RUN=${RUN:-$HOME/results/$EXPERIMENT}                              # change: a folder that all machines see
export MRLBENCH_DATA=${MRLBENCH_DATA:-$HOME/data}                  # change: the data, there on each machine
export MRLBENCH_TIMEOUT=${MRLBENCH_TIMEOUT:-600}                   # seconds without a word of the others, then all stop

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
together() {
  srun --kill-on-bad-exit=1 torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="$PROCESSES" \
    --rdzv-backend=c10d --rdzv-endpoint="$first:29500" --rdzv-id="$SLURM_JOB_ID" -m -- mrlbench "$@"
}

together train "$EXPERIMENT" --run "$RUN"
together embed "$RUN"
together eval-retrieval "$RUN"
# what is left is for one machine, and skips what is done
srun --nodes=1 --ntasks=1 mrlbench reproduce "$EXPERIMENT" --run "$RUN"
