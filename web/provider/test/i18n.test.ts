import type { I18nProvider } from "@refinedev/core";
import { describe, expect, it } from "vitest";
import { app, appOf } from "./app.ts";

describe("i18n", () => {
  it("changes the API's language with the app's", async () => {
    let locale = "es-ES";
    const own: I18nProvider = {
      translate: (key, options, message) =>
        key === "resonance.readOnly" ? `App: ${locale}` : key === "hi" ? `Hi ${options?.name}` : (message ?? key),
      changeLocale: (to) => {
        locale = to;
      },
      getLocale: () => locale,
    };
    const { i18nProvider, accessControlProvider, dataProvider, client } = await appOf("viewer", {
      language: undefined,
      i18n: own,
    });
    expect(client.language).toBe("es");
    const missing = { resource: "orders", id: "recGONE0000000000" };
    await expect(dataProvider.getOne(missing)).rejects.toMatchObject({ message: expect.stringContaining("No existe") });
    await i18nProvider.changeLocale("en-GB");
    expect(i18nProvider.getLocale()).toBe("en-GB");
    await expect(dataProvider.getOne(missing)).rejects.toMatchObject({
      message: expect.stringContaining("There is no"),
    });
    expect(i18nProvider.translate("hi", { name: "Ana" })).toBe("Hi Ana");
    expect(i18nProvider.translate("resonance.offline")).toBe("The server cannot be reached");
    expect((await accessControlProvider.can({ resource: "orders", action: "delete" })).reason).toBe("App: en-GB");
  });

  it("does without an app's", async () => {
    const { i18nProvider, client } = app({ language: "en" });
    expect(i18nProvider.translate("buttons.save", "Save")).toBe("Save");
    expect(i18nProvider.translate("buttons.save", {}, "Save")).toBe("Save");
    expect(i18nProvider.translate("buttons.save")).toBe("buttons.save");
    await i18nProvider.changeLocale("es");
    expect(client.language).toBe("es");
    expect(i18nProvider.translate("resonance.partial", { failed: 1, total: 2, reason: "x" })).toBe(
      "1 de 2 no se pudieron cambiar: x",
    );
  });
});
