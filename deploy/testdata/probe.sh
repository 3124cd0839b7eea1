#!/bin/bash
# What a machine that boot.sh made is asked. "PASSED" is the last line if all is well.
exec >/mnt/probe/log 2>&1
PS4='+ $SECONDS s: '
set -eux
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive
# set -e does not heed what ! is before.
not() { if "$@"; then return 1; fi; }
show() { systemctl show -P "$1" sluice; }

# Three pods, and the ports of each kind that needs a right of its own.
ip link set lo up
for i in 1 2 3; do
  ip netns add p$i
  ip link add v$i type veth peer name eth0 netns p$i
  ip link set v$i up
  ip -n p$i link set eth0 address 0a:58:0a:00:01:0$i up
  ip -n p$i address add 10.0.1.$i/24 dev eth0
done

: fresh installation: enabled, and started with the configuration of the package
dpkg -i /mnt/probe/first.deb
[ "$(systemctl is-enabled sluice)" = enabled ]
[ "$(show ActiveState) $(show NRestarts)" = 'active 0' ]
sluice get segments | grep -w web
first=$(show MainPID)

: the configuration, with ports, is taken by a reload
cp /mnt/probe/ports.yaml /etc/sluice/sluice.yaml
systemctl reload sluice
for _ in $(seq 100); do [ "$(sluice get ports | grep -cw UP)" = 4 ] && break; sleep 0.1; done
sluice get ports
[ "$(sluice get ports | grep -cw UP)" = 4 ]
[ "$(show MainPID)" = "$first" ]
show StatusText | grep 'in force, 4 ports'

: frames pass ports of each kind, under the filter of system calls
grep -E '^(NoNewPrivs:.1|Seccomp:.2)$' "/proc/$first/status" | wc -l | grep -w 2
for i in 2 3; do ip netns exec p1 ping -c 3 -W 5 10.0.1.$i; done

: a network namespace that is deleted is gone, with its devices: the service holds none
ip netns add gone
ip link add vgone type veth peer name eth0 netns gone
ip netns delete gone
for _ in $(seq 50); do ip link show vgone 2>/dev/null || break; sleep 0.1; done
not ip link show vgone

: what the daemon says, and a bundle that has it from systemd
sluice log -n 100 | grep 'configuration'
sluice support-bundle -o /tmp/bundle.tar.gz
tar -xzf /tmp/bundle.tar.gz -C /tmp
grep -x ActiveState=active /tmp/sluice-support-*/service/systemd.txt
grep configuration /tmp/sluice-support-*/service/journal.txt

: an upgrade starts it anew, and leaves a changed configuration alone
dpkg -i /mnt/probe/second.deb </dev/null
cmp /mnt/probe/ports.yaml /etc/sluice/sluice.yaml
[ "$(show ActiveState)" = active ]
[ "$(show MainPID)" != "$first" ]
dpkg-query -W sluice | grep -F 1.0.1

: a daemon that is killed comes back
systemctl kill --signal=KILL sluice
for _ in $(seq 100); do [ "$(show NRestarts) $(show ActiveState)" = '1 active' ] && break; sleep 0.1; done
[ "$(show NRestarts) $(show ActiveState)" = '1 active' ]

: faults in the configuration end it once and for all, and say so
cp /etc/sluice/sluice.yaml /tmp/
echo 'kind: Nonsense' >/etc/sluice/bad.yaml
not systemctl restart sluice
[ "$(show ActiveState) $(show ExecMainStatus)" = 'failed 3' ]
rm /etc/sluice/bad.yaml
systemctl restart sluice

: a removal leaves configuration and state, a purge neither
touch /etc/sluice/mine.yaml
dpkg -r sluice
[ ! -e /usr/bin/sluice ]
[ -e /etc/sluice/sluice.yaml ]
[ -e /var/lib/sluice/state.db ]
not systemctl is-active sluice
dpkg --purge sluice
[ ! -e /etc/sluice/sluice.yaml ]
[ ! -e /etc/default/sluice ]
[ -e /etc/sluice/mine.yaml ] # a user's own
[ ! -e /var/lib/sluice ]
not systemctl cat sluice
[ -z "$(find /etc/systemd /var/lib/systemd -name '*sluice*')" ]
echo PASSED
