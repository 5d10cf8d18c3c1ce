# Runs each line of /in/commands as somebody who has just logged in and copied the project here; then looks what became of it.

used() { du -skx --exclude-from=/in/not-counted / 2>/dev/null | cut -f1; }

useradd --create-home --shell /bin/bash pi
echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pi
cp -r /in/inferd /home/pi/inferd
chown -R pi:pi /home/pi
before=$(used)

while read -r command; do
    echo "\$ $command"
    started=$(date +%s%N)
    su - pi -c "cd inferd && $command" </dev/null
    code=$?
    took=$(( ($(date +%s%N) - started) / 1000000 ))
    printf '%s\t%s.%03d\t%s\t%s\n' "$code" $((took / 1000)) $((took % 1000)) $(($(used) - before)) "$command" >>/out/readme.tsv
done </in/commands

tries=0
until systemctl show inferd -P StatusText | grep -q fps || [ $tries -ge 60 ]; do
    tries=$((tries + 1))
    sleep 1
done
systemctl status inferd --no-pager
du -sk /opt/inferd /home/pi/inferd /home/pi/.local /home/pi/.cache 2>/dev/null
su - pi -c 'sudo inferd doctor'
systemctl show inferd -P StatusText | grep fps
