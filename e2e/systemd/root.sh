# root.sh INSTALLED SHARED: becomes systemd, which sees this machine's files through an overlay that is gone
# with it. Its namespaces are made by run.py.
set -eu
installed=$1 shared=$2

mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
root=/mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work $root
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs tmpfs $root/dev
for device in null zero full random urandom tty; do
  touch $root/dev/$device
  mount --bind /dev/$device $root/dev/$device
done
mkdir $root/dev/shm $root/dev/pts
mount -t devpts devpts $root/dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
mount -t tmpfs tmpfs $root/dev/shm
# Before /tmp is hidden, where the two folders may be.
cp -a "$installed"/. $root
mkdir -p $root/shared
mount --bind "$shared" $root/shared
mount -t tmpfs tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp

# As the head of the unit says, with a number that nobody has.
echo 'lowband:x:64321:64321::/nonexistent:/usr/sbin/nologin' >> $root/etc/passwd
echo 'lowband:x:64321:' >> $root/etc/group
chown -R 64321:64321 $root/etc/lowband
# Only what the unit itself asks for is to be started.
units=$root/etc/systemd/system
mkdir -p $units
printf '[Unit]\nDefaultDependencies=no\n' > $units/alone.target
for unit in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket \
  systemd-udevd.service systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service dbus.socket dbus.service timers.target; do
  ln -sf /dev/null $units/$unit
done

cd $root
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  "$(command -v /usr/lib/systemd/systemd /lib/systemd/systemd | head -n 1)" --system --unit=alone.target --log-target=console
