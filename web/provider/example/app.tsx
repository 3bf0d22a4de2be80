import { Refine, useList } from "@refinedev/core";
import { createResonance, type Order, retry } from "@resonance/refine";

export const resonance = createResonance({ url: "http://localhost:8000", language: "en" });
const { error } = await resonance.authProvider.login({ username: "admin", password: "the one that make run printed" });

const Orders = () =>
  useList<Order>({ resource: "orders" }).result.data.map((o) => <p key={o.id}>{`${o.name}: ${o.status}`}</p>);
const reactQuery = { clientConfig: { defaultOptions: { queries: { retry } } } };
const Inside = () => (
  <Refine {...resonance} options={{ liveMode: "auto", reactQuery, disableTelemetry: true }}>
    <Orders />
  </Refine>
);
export const App = () => (error ? <p role="alert">{error.message}</p> : <Inside />);
