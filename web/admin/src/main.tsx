import "@ant-design/v5-patch-for-react-19";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { ErrorBoundary } from "./components/error-boundary.tsx";

// A new version was put in place and this page's chunks are gone: load it anew, but not for ever.
addEventListener("vite:preloadError", (event) => {
  const last = Number(sessionStorage.getItem("resonance.reloaded") ?? 0);
  if (Date.now() - last < 30_000) return;
  sessionStorage.setItem("resonance.reloaded", String(Date.now()));
  event.preventDefault();
  location.reload();
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <ErrorBoundary>
      <App />
    </ErrorBoundary>
  </StrictMode>,
);
