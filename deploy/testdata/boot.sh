#!/bin/bash
# boot.sh DIR: systemd as the first process of a machine of its own: all namespaces are
# new, and its root file system is an overlay of this machine's, so that whatever it
# does, this machine stays as it is. It runs DIR/probe, and ends. Made for
#
#   unshare --mount --pid --fork --kill-child --net --uts --ipc --cgroup --propagation private
#
# in control groups that whoever calls it has made. Exit status 77: this can't be done here.
set -eu
dir=$1
trap 'exit 77' ERR

mount -t tmpfs none "$dir/disk"
mkdir "$dir"/disk/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/disk/upper,workdir=$dir/disk/work" "$dir/disk/root"
cd "$dir/disk/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/{systemd,devices,pids}
  mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
  mount -t cgroup -o devices cgroup sys/fs/cgroup/devices
  mount -t cgroup -o pids cgroup sys/fs/cgroup/pids
fi
for folder in run tmp dev; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p dev/net dev/pts dev/shm run/netns
while read -r name major minor; do
  mknod -m 666 "dev/$name" c "$major" "$minor"
done <<TABLE
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
kmsg 1 11
tty 5 0
console 5 1
net/tun 10 200
TABLE
# Nothing of this machine's own services.
find etc/systemd/system -mindepth 1 -delete
rm -f usr/sbin/policy-rc.d
rm -rf etc/sluice etc/default/sluice var/lib/sluice
cat >etc/systemd/system/probe.target <<UNIT
[Unit]
DefaultDependencies=no
Requires=probe.service
UNIT
cat >etc/systemd/system/probe.service <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/mnt/probe/probe
ExecStopPost=/bin/systemctl --force --force poweroff
TimeoutStartSec=120
UNIT
mkdir -p mnt/probe .old
mount --bind "$dir/probe" mnt/probe
pivot_root . .old
umount -l /.old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=probe.target --log-target=console --show-status=0 </dev/null
