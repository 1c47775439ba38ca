// Finds in the body of a dead letter what its reason complains about.

/** The body as parts [before, flaw, after]; the flaw is empty if the reason does not say where it is. */
export function marked(body, reason) {
  const text = reason ?? "";
  return (
    atCharacter(body, /at character (\d+)/.exec(text)) ?? ofField(body, /^([\w.]+): /.exec(text)) ?? [body, "", ""]
  );
}

/** Characters are counted from 0. */
function atCharacter(body, found) {
  if (!found) return null;
  const at = Number(found[1]);
  if (at >= body.length) return [body, "… ends here", ""];
  return [body.slice(0, at), body.slice(at, at + 1), body.slice(at + 1)];
}

/** The member that a reason such as "sensor_data.temperature: number required" names. */
function ofField(body, found) {
  if (!found) return null;
  const name = found[1].split(".").at(-1);
  const member = new RegExp(`"${name}"\\s*:\\s*("(?:[^"\\\\]|\\\\.)*"|[^,}\\]]*)`).exec(body);
  return member ? [body.slice(0, member.index), member[0], body.slice(member.index + member[0].length)] : null;
}

/** The reason without what differs from letter to letter, for groups. */
export function kindOf(reason) {
  return reason === null ? "it would be accepted now" : reason.replace(/ at character \d+|^reading \d+: /g, "");
}
