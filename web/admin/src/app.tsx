import { type AuthProvider, Refine, useCan, useResourceParams } from "@refinedev/core";
import routerProvider, { UnsavedChangesNotifier } from "@refinedev/react-router";
import { retry } from "@resonance/refine";
import { App as AntApp, ConfigProvider } from "antd";
import { type ReactNode, Suspense, useState, useSyncExternalStore } from "react";
import { BrowserRouter, Navigate, Outlet, Route, Routes, useLocation, useSearchParams } from "react-router";
import { Empty, Forbidden, NotFound, PageLoading } from "./components/states.tsx";
import { fileOf, useLanguage } from "./i18n/index.ts";
import { Layout } from "./layout/layout.tsx";
import { useNotifications } from "./notifications.tsx";
import Login from "./pages/login/index.tsx";
import { useDark } from "./preferences.ts";
import { resonance } from "./resonance.ts";
import { resources } from "./resources.tsx";
import * as pages from "./routes.tsx";
import { themeOf } from "./theme.ts";

export function App() {
  const dark = useDark();
  const { antd } = fileOf(useLanguage());
  return (
    <ConfigProvider theme={themeOf(dark)} locale={antd} renderEmpty={() => <Empty />}>
      <AntApp notification={{ placement: "bottomLeft" }}>
        <BrowserRouter>
          <Providers>
            <Pages />
            <UnsavedChangesNotifier />
          </Providers>
        </BrowserRouter>
      </AntApp>
    </ConfigProvider>
  );
}

function Providers({ children }: { children: ReactNode }) {
  return (
    <Refine
      dataProvider={resonance.dataProvider}
      authProvider={authProvider}
      liveProvider={resonance.liveProvider}
      accessControlProvider={resonance.accessControlProvider}
      i18nProvider={resonance.i18nProvider}
      routerProvider={routerProvider}
      notificationProvider={useNotifications()}
      resources={resources}
      options={{
        disableTelemetry: true,
        syncWithLocation: true,
        warnWhenUnsavedChanges: true,
        liveMode: "auto",
        reactQuery: {
          clientConfig: {
            defaultOptions: {
              queries: { retry, staleTime: 5_000, networkMode: "always" },
              mutations: { networkMode: "always" },
            },
          },
        },
      }}
    >
      {children}
    </Refine>
  );
}

function Pages() {
  return (
    <Routes>
      <Route path="/login" element={<Entrance />} />
      <Route
        element={
          <Inside>
            <Layout>
              <Page />
            </Layout>
          </Inside>
        }
      >
        <Route index element={<pages.Dashboard />} />
        <Route path="sync" element={<pages.Sync />} />
        <Route path="orders">
          <Route index element={<pages.OrderList />} />
          <Route path="board" element={<pages.OrderBoard />} />
          <Route path="show/:id" element={<pages.OrderShow />} />
        </Route>
        <Route path="products">
          <Route index element={<pages.ProductList />} />
          <Route path="create" element={<pages.ProductCreate />} />
          <Route path="edit/:id" element={<pages.ProductEdit />} />
          <Route path="show/:id" element={<pages.ProductShow />} />
        </Route>
        {["partners", "suppliers", "customers"].map((name) => (
          <Route key={name} path={name}>
            <Route index element={<pages.PartnerList key={name} />} />
            <Route path="create" element={<pages.PartnerCreate key={name} />} />
            <Route path="edit/:id" element={<pages.PartnerEdit key={name} />} />
            <Route path="show/:id" element={<pages.PartnerShow key={name} />} />
          </Route>
        ))}
        <Route path="sales">
          <Route index element={<pages.SaleList />} />
          <Route path="create" element={<pages.SaleCreate />} />
          <Route path="edit/:id" element={<pages.SaleEdit />} />
          <Route path="show/:id" element={<pages.SaleShow />} />
        </Route>
        <Route path="*" element={<NotFound />} />
      </Route>
    </Routes>
  );
}

let loggingOut = false;

const authProvider: AuthProvider = {
  ...resonance.authProvider,
  logout: async (params) => {
    loggingOut = true;
    try {
      return await resonance.authProvider.logout(params);
    } finally {
      loggingOut = false;
    }
  },
};

const { session } = resonance.client;
const listenSession = (listener: () => void) => session.listen(listener);

/** Whether somebody is logged in, right now: what Refine remembers of it lags behind a login and a logout. */
const useSession = () => useSyncExternalStore(listenSession, () => session.get() !== undefined);

function Inside({ children }: { children: ReactNode }) {
  const { pathname, search } = useLocation();
  const [was] = useState(() => session.get() !== undefined);
  if (useSession()) return children;
  const to = pathname + search;
  const state = { ended: was && !loggingOut };
  return <Navigate to={to === "/" ? "/login" : `/login?to=${encodeURIComponent(to)}`} state={state} replace />;
}

/** The login, which leads back to where somebody was. */
function Entrance() {
  const to = useSearchParams()[0].get("to") ?? "/";
  return useSession() ? <Navigate to={/^\/(?!\/)/.test(to) ? to : "/"} replace /> : <Login />;
}

/** What the address says, if the user may see it. */
function Page() {
  const { pathname, search, hash } = useLocation();
  const { resource, action = "list", id } = useResourceParams();
  const { data: answer } = useCan({ resource: resource?.name, action, params: { id, resource } });
  // Routes match in any case, and resources only in lower case.
  const section = /^\/[^/]*/.exec(pathname)?.[0] ?? "";
  const lower = section.toLowerCase();
  if (section !== lower) return <Navigate to={lower + pathname.slice(section.length) + search + hash} replace />;
  return <Suspense fallback={<PageLoading />}>{answer && !answer.can ? <Forbidden /> : <Outlet />}</Suspense>;
}
