// Answers with what nginx parsed, as `src/hostile/parsed.rs` reads it: hexadecimal parts with dots between.
// Bytes of a field's value that are no UTF-8 come as U+FFFD: njs has no other way to list all fields.

function hex(text) {
  return Buffer.from(text).toString('hex');
}

function report(r) {
  const fields = r.rawHeadersIn.map((field) => hex(field[0]) + '=' + hex(field[1]));
  // A body without a byte is a buffer that can't be read.
  const body = r.requestBuffer;
  const parts = [
    r.variables.connection_requests,
    hex(r.method),
    hex(r.variables.request_uri),
    hex(r.uri),
    body && body.byteLength > 0 ? body.toString('hex') : '',
  ];
  r.headersOut['X-Parsed'] = parts.concat(fields).join('.');
  r.return(200, '{}\n');
}

export default { report };
