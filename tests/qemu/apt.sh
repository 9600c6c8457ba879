# A private apt root per Debian release: own sources, state and caches. The mirror,
# proxies and keys are those of the machine; /etc/apt is only read. Sourced, never run.
# shellcheck shell=bash

apt_keyring="${WEFT_APT_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}"

# Prints the URI of the Debian mirror that the machine itself uses.
machine_mirror() {
  local codename
  codename="$(. /etc/os-release && echo "${VERSION_CODENAME}")"
  # shellcheck disable=SC2016
  apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
    'Created-By: Packages' | awk -v r="${codename}" '$1 == r && $2 == "main" { print $3; exit }'
}

# apt_root_make RELEASE: makes the private root for RELEASE and RELEASE-backports and
# reads the mirror's indexes, at most once a day.
apt_root_make() {
  local release="$1" root="${kernels_dir}/apt/$1" mirror suite
  mirror="$(machine_mirror)"
  [[ -n "${mirror}" ]] || die "no Debian mirror found in the machine's apt configuration"
  mkdir -p "${root}"/{etc/preferences.d,state/lists/partial,cache/archives/partial}
  : >"${root}/state/status"
  for suite in "${release}" "${release}-backports"; do
    echo "deb [arch=amd64 signed-by=${apt_keyring}] ${mirror} ${suite} main"
  done >"${root}/etc/sources.list"
  cat >"${root}/etc/apt.conf" <<CONF
Dir::State "${root}/state";
Dir::State::status "${root}/state/status";
Dir::Cache "${root}/cache";
Dir::Etc::sourcelist "${root}/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "${root}/etc/preferences.d";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
  if [[ -z "$(find "${root}/stamp" -mtime -1 2>/dev/null)" ]]; then
    APT_CONFIG="${root}/etc/apt.conf" apt-get -q update
    touch "${root}/stamp"
  fi
}

# apt_in RELEASE COMMAND...: runs an apt tool against the private root of RELEASE.
apt_in() {
  local release="$1"
  shift
  APT_CONFIG="${kernels_dir}/apt/${release}/etc/apt.conf" "$@"
}

# apt_extract RELEASE DIRECTORY PACKAGE...: downloads packages ("name" or
# "name=version") and unpacks them into DIRECTORY, installing nothing. Appends
# name=version of each to DIRECTORY/../packages.
apt_extract() {
  local release="$1" directory="$2" debs deb
  shift 2
  debs="$(mktemp -d "${kernels_dir}/debs.XXXXXX")"
  (cd "${debs}" && apt_in "${release}" apt-get -q download "$@")
  mkdir -p "${directory}"
  for deb in "${debs}"/*.deb; do
    dpkg-deb -x "${deb}" "${directory}"
    dpkg-deb -f "${deb}" Package Version | awk '{ print $2 }' | paste -sd= \
      >>"$(dirname "${directory}")/packages"
  done
  rm -rf "${debs}"
}
