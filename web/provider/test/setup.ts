import type { TestProject } from "vitest/node";
import { type Addresses, build, Product } from "./product.ts";

/** How many orders the product of most tests has. */
export const orders = 300;

/** Builds the product once, and starts the one that most tests share. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { bin, clean } = build();
  const product = await Product.start(bin, orders);
  project.provide("bin", bin);
  project.provide("product", { url: product.url, airtable: product.airtable });
  return async () => {
    await product.remove();
    clean();
  };
}

declare module "vitest" {
  export interface ProvidedContext {
    bin: string;
    product: Addresses;
  }
}
