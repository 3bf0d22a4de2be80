import { Refine, useList } from "@refinedev/core";
import { createResonance, type Order, retry } from "@resonance/refine";

export const resonance = createResonance({ url: "http://localhost:8000", language: "en" });
await resonance.authProvider.login({ username: "admin", password: "the one that make run printed" });

const Orders = () =>
  useList<Order>({ resource: "orders" }).result.data.map((o) => <p key={o.id}>{`${o.name}: ${o.status}`}</p>);
const reactQuery = { clientConfig: { defaultOptions: { queries: { retry } } } };
export const App = () => (
  <Refine {...resonance} options={{ liveMode: "auto", reactQuery, disableTelemetry: true }}>
    <Orders />
  </Refine>
);
