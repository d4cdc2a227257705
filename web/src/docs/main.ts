/** Boots the API page. Loaded by index.html alone. */
import "./page.js";
