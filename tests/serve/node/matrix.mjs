// What Node's client reads and sends, as lines of JSON: [name, what came].
import pg from "pg";

const [, , host, port, password, authority] = process.argv;
const settings = { host, port: Number(port), user: "reader", password, database: "crosspane", connectionTimeoutMillis: 20000 };
const say = (name, value) => console.log(JSON.stringify([name, value]));
const state = (asked) => asked.then(() => "answered", (error) => error.code);

// as they come: numbers beyond 2^53, times and intervals stay text
for (const oid of [20, 1082, 1114, 1184, 1186, 1700]) pg.types.setTypeParser(oid, (text) => text);

const client = new pg.Client(settings);
await client.connect();
const found = await client.query("SELECT * FROM v_types ORDER BY number");
say("types", Object.fromEntries(found.fields.map((field) => [field.name, field.dataTypeID])));
say("values", { ...found.rows[0], raw: found.rows[0].raw.toString("hex") });
say("nulls", Object.values(found.rows[1]).filter((value) => value !== null));
say("tag", [found.command, found.rowCount]);

const asked = await client.query(
    "SELECT number FROM v_types WHERE whole = $1 AND name LIKE $2 AND yes = $3 AND seen_time > $4 AND share > $5 AND big = ANY($6)",
    [70000, "Zürich%", true, new Date("2026-11-01T00:00:00Z"), 0.05, ["9007199254740993", "1"]],
);
say("parameters", asked.rows);
const prepared = { name: "twice", text: "SELECT $1::INT * 2 AS doubled" };
say("prepared", [
    (await client.query({ ...prepared, values: [4] })).rows,
    (await client.query({ ...prepared, values: [5] })).rows,
]);
say("several", (await client.query("SELECT 1 AS a; SELECT 'x' AS b")).map((result) => result.rows));
say("as arrays", (await client.query({ text: "SELECT 1, 2", rowMode: "array" })).rows);
say("no statement", [(await client.query("-- ping")).rows, (await client.query(";")).rows]);
say("refused", [
    await state(client.query("SELECT nothing FROM v_types")),
    await state(client.query("INSERT INTO v_types VALUES (1)")),
    await state(client.query("SELECT * FROM read_text('/etc/passwd')")),
]);
say("goes on", (await client.query("SELECT 1 AS a")).rows);
await client.end();

const pool = new pg.Pool({ ...settings, max: 5 });
const many = await Promise.all([...Array(20).keys()].map((n) => pool.query("SELECT $1::INT AS n", [n])));
say("pool", many.map((result) => result.rows[0].n));
await pool.end();

if (authority) {
    const { readFileSync } = await import("node:fs");
    const secure = new pg.Client({ ...settings, ssl: { ca: readFileSync(authority), servername: "localhost" } });
    await secure.connect();
    say("TLS", (await secure.query("SELECT 1 AS a")).rows);
    await secure.end();
}
const stranger = new pg.Client({ ...settings, password: "wrong" });
say("wrong password", await state(stranger.connect()));
