import { addTexts } from "../../i18n/index.ts";
import en from "./en.json";
import es from "./es.json";

addTexts(es, en);
