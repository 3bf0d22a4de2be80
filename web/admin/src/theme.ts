import { theme as antd, type ThemeConfig } from "antd";

const shared: ThemeConfig["token"] = {
  motion: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  borderRadius: 8,
  borderRadiusLG: 12,
  fontFamily:
    'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif',
  fontSize: 14,
  controlHeight: 36,
  wireframe: false,
};

/** Paper and petrol, with brass to point something out. */
const light: ThemeConfig = {
  algorithm: antd.defaultAlgorithm,
  token: {
    ...shared,
    colorPrimary: "#0f6a63",
    colorInfo: "#2b6396",
    colorSuccess: "#23794a",
    colorWarning: "#9a6200",
    colorError: "#b3362c",
    colorLink: "#0f6a63",
    colorLinkHover: "#0b4f4a",
    colorLinkActive: "#083b37",
    colorTextBase: "#17211f",
    colorTextSecondary: "#4d5b58",
    colorTextTertiary: "#5f6d69",
    colorTextPlaceholder: "#6a7673",
    colorTextDescription: "#5b6966",
    colorBgLayout: "#f6f7f5",
    controlItemBgActive: "#e4efec",
    controlItemBgActiveHover: "#d9e8e4",
    colorBorder: "#cdd5d2",
    colorBorderSecondary: "#e4e9e6",
    colorWarningBg: "#fdf5e3",
    colorWarningBorder: "#ecd9ab",
    colorErrorBg: "#fdf0ee",
    colorErrorBorder: "#efcbc6",
    colorSuccessBg: "#e9f6ee",
    colorSuccessBorder: "#bfe0cc",
    colorInfoBg: "#ebf3fa",
    colorInfoBorder: "#c5dbee",
    boxShadowTertiary: "0 1px 2px rgb(23 33 31 / 5%), 0 1px 6px -2px rgb(23 33 31 / 4%)",
  },
};

const dark: ThemeConfig = {
  algorithm: antd.darkAlgorithm,
  token: {
    ...shared,
    colorPrimary: "#4fc3b4",
    colorInfo: "#7cb7ea",
    colorSuccess: "#62c48d",
    colorWarning: "#e6b455",
    colorError: "#f2877c",
    colorLink: "#6fd0c3",
    colorLinkHover: "#9be6da",
    colorLinkActive: "#b9f0e7",
    colorTextBase: "#e9efed",
    colorTextSecondary: "#b3bfbc",
    colorTextTertiary: "#98a5a1",
    colorTextPlaceholder: "#8f9c98",
    colorTextDescription: "#a3b0ac",
    colorBgBase: "#12181a",
    colorBgLayout: "#12181a",
    colorBgContainer: "#1a2224",
    colorBgElevated: "#222c2e",
    controlItemBgActive: "#21383a",
    controlItemBgActiveHover: "#274145",
    colorBorder: "#3a4749",
    colorBorderSecondary: "#293436",
    colorTextLightSolid: "#0b1413",
    boxShadowTertiary: "none",
  },
};

/** Ant Design's theme. */
export function themeOf(isDark: boolean): ThemeConfig {
  const { token = {}, algorithm } = isDark ? dark : light;
  return {
    algorithm,
    cssVar: true,
    hashed: false,
    token,
    components: {
      Layout: {
        headerBg: token.colorBgLayout,
        bodyBg: token.colorBgLayout,
        siderBg: isDark ? "#151d1f" : "#eef1ee",
        headerHeight: 60,
        headerPadding: "0 24px",
      },
      Menu: {
        itemBg: "transparent",
        itemSelectedBg: isDark ? "#213033" : "#dde8e4",
        itemSelectedColor: isDark ? "#8fdccf" : "#0b4f4a",
        itemHeight: 38,
        itemMarginInline: 8,
        activeBarBorderWidth: 0,
        groupTitleFontSize: 12,
        groupTitleColor: token.colorTextTertiary,
      },
      Card: { bodyPadding: 20, headerPadding: 20, headerFontSize: 15, headerHeight: 52 },
      Table: {
        headerBg: isDark ? "#1e2729" : "#f1f4f2",
        headerColor: token.colorTextSecondary,
        headerSplitColor: "transparent",
        headerBorderRadius: 0,
        bodySortBg: "transparent",
        headerSortActiveBg: isDark ? "#1e2729" : "#f1f4f2",
        rowHoverBg: isDark ? "#202a2c" : "#f7f9f8",
        cellPaddingBlock: 12,
        cellPaddingInlineMD: 12,
        cellPaddingBlockMD: 10,
      },
      Button: { primaryShadow: "none", defaultShadow: "none", dangerShadow: "none", fontWeight: 500 },
    },
  };
}

/** What marks a status, a priority or a series: text on `soft`, or `solid` for dots, bars and lines. */
export interface Tone {
  text: string;
  soft: string;
  solid: string;
}

const tones = {
  amber: [
    { text: "#774a00", soft: "#fbeed3", solid: "#cf8a1b" },
    { text: "#f0c679", soft: "#3a2f19", solid: "#dba544" },
  ],
  blue: [
    { text: "#1f4e7a", soft: "#e0ecf7", solid: "#3f7fb8" },
    { text: "#9dcbf2", soft: "#1c3044", solid: "#5f9fd6" },
  ],
  violet: [
    { text: "#553a86", soft: "#ece5f7", solid: "#8063b8" },
    { text: "#c8b3f0", soft: "#2e2642", solid: "#9d83d3" },
  ],
  green: [
    { text: "#1b5e3a", soft: "#def1e5", solid: "#3a9a64" },
    { text: "#8fdcae", soft: "#1a3526", solid: "#55b580" },
  ],
  red: [
    { text: "#8f2a22", soft: "#fae4e1", solid: "#c9564b" },
    { text: "#f5a79f", soft: "#422321", solid: "#da7268" },
  ],
  grey: [
    { text: "#4a5754", soft: "#e7ecea", solid: "#8b9895" },
    { text: "#b9c5c2", soft: "#2a3537", solid: "#77858a" },
  ],
} satisfies Record<string, [Tone, Tone]>;

export type ToneName = keyof typeof tones;

export function toneOf(name: ToneName, isDark: boolean): Tone {
  return tones[name][isDark ? 1 : 0];
}
