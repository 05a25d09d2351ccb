#!/usr/bin/env bash
# The chat from a shell, with curl, jq and openssl. It receives no webhooks: that takes a server.
#
#   shell.sh token USER              prints a token for the user
#   shell.sh create ROOM TITLE USER  creates a room for members, owned by the user
#   shell.sh add ROOM USER           makes the user a member
#   shell.sh post ROOM USER TEXT KEY posts as the user; repeated with the same KEY, it is stored once
#   shell.sh read ROOM               prints the newest messages
set -euo pipefail

readonly API="${PARLOR_URL:-http://localhost:3000}/api/v1"
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# The secret shows in the machine's list of processes for a moment: on a shared machine use a library.
token() {
  local exp signed
  exp=$(($(date +%s) + 3600))
  signed=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url).$(
    jq -cnj --arg sub "$1" --argjson exp "$exp" '{$sub, $exp, rooms: ["order-*"]}' | base64url
  )
  printf '%s.%s\n' "$signed" "$(printf %s "$signed" | openssl dgst -sha256 -hmac "$JWT_SECRET" -binary | base64url)"
}

# Calls Parlor with the further arguments of curl, and prints the answer. curl repeats the call after a lost answer and
# after 429, 502, 503 and 504, and waits as long as Retry-After says.
parlor() {
  local path=$1 status
  shift
  status=$(curl --silent --show-error --output "$answer" --write-out '%{http_code}' \
    --retry 5 --retry-all-errors --max-time 20 --header @<(printf 'Authorization: Bearer %s' "$API_KEY") \
    --header 'Content-Type: application/json' "$@" "$API$path")
  jq . "$answer"
  [[ $status == 2* ]]
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command/$# in
  token/1) token "$1" ;;
  create/3)
    parlor /rooms --data "$(jq -n --arg roomId "$1" --arg title "$2" --arg userId "$3" \
      '{$roomId, $title, $userId, access: "members"}')"
    ;;
  add/2) parlor /members --request PUT --data "$(jq -n --arg roomId "$1" --arg userId "$2" '{$roomId, $userId}')" ;;
  post/4)
    parlor /messages --header "Idempotency-Key: $4" \
      --data "$(jq -n --arg roomId "$1" --arg userId "$2" --arg message "$3" '{$roomId, $userId, $message}')"
    ;;
  read/1) parlor /messages --get --data-urlencode "roomId=$1" ;;
  *)
    sed -n '4,8s/^#   //p' "$0" >&2
    exit 2
    ;;
esac
