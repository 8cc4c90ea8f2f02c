# Sourced by the haproxy folders. HAPROXY: the binary.
set -e
rules=""
if [ "$GW_MODE" != plain ]; then
  cp "$GW_KEYS" "$GW_WORK/keys.map"
  rules="  http-request set-var(txn.consumer) req.hdr(x-api-key),map_str($GW_WORK/keys.map)
  http-request deny deny_status 401 unless { var(txn.consumer) -m found }"
  [ "$GW_MODE" = limit ] && rules="$rules
  http-request track-sc0 var(txn.consumer) table rates
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt $GW_LIMIT }"
  rules="$rules
  http-request del-header x-api-key
  http-request set-header x-consumer %[var(txn.consumer)]"
fi
cat > "$GW_WORK/haproxy.cfg" <<C
global
  nbthread $GW_WORKERS
  maxconn 4096
  stats socket $GW_WORK/admin.sock mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 2s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend fe
  bind 127.0.0.1:$GW_PORT
$rules
  default_backend be
backend be
  server up 127.0.0.1:$GW_UP
backend rates
  stick-table type string len 32 size 2m expire 10s store http_req_rate(1s)
C
exec "$HAPROXY" -W -S "$GW_WORK/master.sock" -f "$GW_WORK/haproxy.cfg"
