import { ENDED } from "/static/asking.js";

if (sessionStorage.getItem(ENDED)) {
  sessionStorage.removeItem(ENDED);
  document.querySelector("#ended").hidden = false;
}
