# Boots systemd in a root folder, as the first process of namespaces of its own: sh boot.sh ROOT NAME [OUTSIDE INSIDE]
# OUTSIDE is a folder of this machine that the booted one has at INSIDE. Ends with it; a SIGKILL ends both.
set -e
if [ "$1" = inside ]; then
  root=$2 name=$3 outside=$4 inside=$5
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  groups="$root/sys/fs/cgroup"
  if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 "$groups"
  else
    mount -t tmpfs tmpfs "$groups"
    mkdir "$groups/unified" "$groups/systemd"
    mount -t cgroup2 cgroup2 "$groups/unified"
    mount -t cgroup -o none,name=systemd,xattr cgroup "$groups/systemd"
    for each in cpu memory pids; do
      mkdir "$groups/$each"
      mount -t cgroup -o "$each" cgroup "$groups/$each"
    done
  fi
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for each in null zero full random urandom tty; do
    touch "$root/dev/$each"
    mount --bind "/dev/$each" "$root/dev/$each"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  for each in dev/shm run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$each"; done
  mkdir -p "$root$inside"
  mount --bind "$outside" "$root$inside"
  hostname "$name"
  ip link set lo up
  cd "$root"
  mkdir -p .before
  pivot_root . .before
  exec env -i container=stead-test PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    sh -c 'umount -l /.before && exec /lib/systemd/systemd --show-status=0'
fi

# cgroups of its own, so that it leaves none in the machine's top ones. cpuset takes no process at once, and is left out.
awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts | while read -r each; do
  mkdir -p "$each/$2" && echo $$ >"$each/$2/cgroup.procs" || true
done 2>/dev/null
exec unshare --mount --pid --fork --net --uts --ipc --cgroup --kill-child sh "$0" inside "$@"
