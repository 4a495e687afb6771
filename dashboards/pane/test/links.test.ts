// Templates in links: what goes into an address, and what never does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fillText, fillUrl, isSafe } from "../src/links";
import type { Frame, Place } from "../src/types";

const PLACE: Place = {
  uid: "crosspane-overview", from: "now-1h", to: "now", panel: null,
  variables: { cloud: ["aws", "gcp"], service: ["east/shop/cart"], cluster: ["$__all"] },
};
const FRAME: Frame = {
  refId: "A", name: "", length: 1,
  fields: [{ name: "id", type: "string", config: {}, values: ["east/shop/cart&x=1"] }],
};

test("a row's field goes into an address as one value", () => {
  const url = "/d/crosspane-service?var-service=${__data.fields.id}&${__url_time_range}&${cloud:queryparam}";
  assert.equal(fillUrl(url, PLACE, { frame: FRAME, at: 0 }),
    "/d/crosspane-service?var-service=east%2Fshop%2Fcart%26x%3D1&from=now-1h&to=now&var-cloud=aws&var-cloud=gcp");
});

test("all stays all", () => {
  assert.equal(fillUrl("/d/x?${cluster:queryparam}", PLACE), "/d/x?var-cluster=%24__all");
});

test("a title says what was chosen; what it does not know stays", () => {
  assert.equal(fillText("$service in ${cloud} of $cluster, $5 $nobody", PLACE), "east/shop/cart in aws + gcp of All, $5 $nobody");
});

test("only our pages and the web are links", () => {
  assert.deepEqual(
    ["/d/x", "https://a.example/", "//a.example/", "javascript:alert(1)", "data:text/html,x"].map(isSafe),
    [true, true, false, false, false]);
});
