#!/usr/bin/env bash
# Builds the disk of the emulated test host: Debian with systemd as PID 1, cgroup v2, AppArmor and Docker.
#
#   base.sh SUITE PACKAGES DIRECTORY
#
# PACKAGES are separated by commas. Creates disk.raw, vmlinuz and initrd in DIRECTORY, which must exist.
# Needs root, and Debian's debootstrap and e2fsprogs. test/host/vm.ts calls this and boots the result.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,7p' "$0" >&2; exit 64; }
suite=$1 packages=$2 directory=$3
root=$directory/root

# initramfs-tools is the default of the stable releases; sid has moved to dracut.
initrd_tool=initramfs-tools
[ "$suite" = sid ] && initrd_tool=dracut
# Newer releases package the command line separately.
case $suite in trixie | sid) packages=$packages,docker-cli ;; esac

debootstrap --variant=minbase --include="$packages,$initrd_tool" "$suite" "$root" >"$directory/debootstrap.log" 2>&1 ||
  { tail -20 "$directory/debootstrap.log" >&2; exit 70; }
rm -rf "$root"/var/cache/apt/archives/*.deb

echo '/dev/vda / ext4 rw,noatime 0 1' >"$root/etc/fstab"
echo host-vm >"$root/etc/hostname"
if [ "$initrd_tool" = dracut ]; then
  version=$(basename "$root"/lib/modules/*)
  mount -t proc proc "$root/proc"
  chroot "$root" dracut -q -f --no-hostonly --no-hostonly-cmdline --add-drivers 'virtio_blk virtio_pci ext4' \
    "/boot/initrd.img-$version" "$version" >"$directory/dracut.log" 2>&1 || true
  umount "$root/proc"
else
  printf 'virtio_blk\nvirtio_pci\next4\n' >>"$root/etc/initramfs-tools/modules"
  sed -i 's/^MODULES=.*/MODULES=list/' "$root/etc/initramfs-tools/initramfs.conf"
  chroot "$root" update-initramfs -u >/dev/null 2>&1
fi

# The tests start these themselves.
chroot "$root" systemctl disable -q prometheus prometheus-alertmanager 2>/dev/null || true
# Periodic jobs would compete with the tests: when the clock of a restored snapshot is set, all of them
# are due.
for timer in "$root"/lib/systemd/system/*.timer; do
  ln -sf /dev/null "$root/etc/systemd/system/$(basename "$timer")"
done
# The journal stays in memory.
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/volatile.conf"
# No terminal is attached.
for unit in getty@tty1 serial-getty@ttyS0 serial-getty@ttyS1; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done

# The control port is the second serial port. Lines that start with the byte 1 are messages to vm.ts;
# everything else is the output of the command. The snapshot is taken at `ready`: the answer may come in
# another run, days later.
cat >"$root/usr/local/sbin/host-vm" <<'SCRIPT'
#!/bin/sh
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty raw -echo clocal
systemctl is-system-running --wait >/dev/null
docker version >/dev/null
ip link set lo up
printf '\001ready\n'
read -r now
date -u -s "@$now" >/dev/null
printf '\001started\n'
until [ -b /dev/vdb ]; do sleep 0.2; done
mkdir -p /payload
mount -o noatime /dev/vdb /payload
cd /payload
(while sleep 15; do printf '\001alive\n'; done) &
sh ./.command </dev/null
printf '\001exit %s\n' $?
SCRIPT
chmod 755 "$root/usr/local/sbin/host-vm"
cat >"$root/etc/systemd/system/host-vm.service" <<'UNIT'
[Unit]
Description=Runs a command for the tests
Wants=docker.service
After=docker.service
[Service]
ExecStart=/usr/local/sbin/host-vm
TasksMax=infinity
[Install]
WantedBy=multi-user.target
UNIT
chroot "$root" systemctl enable -q host-vm.service 2>/dev/null

cp "$root"/boot/vmlinuz-* "$directory/vmlinuz"
cp "$root"/boot/initrd.img-* "$directory/initrd"
truncate -s 6G "$directory/disk.raw"
mke2fs -q -t ext4 -O ^has_journal -d "$root" "$directory/disk.raw"
rm -rf "$root"
